"""No target may be where machines get their credentials, whatever its address is written as or comes to mean."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from breakeven.forbidden import is_forbidden
from breakeven.upstreams.dial import Address, NotConnectedError, dial

if TYPE_CHECKING:
    from breakeven.upstreams.connection import UpstreamConnection


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "100.100.100.200",
        "168.63.129.16", "fd00:ec2::254", "FD00:EC2:0::254", "metadata.google.internal", "Metadata.Google.Internal.",
    ],
)  # fmt: skip
def test_metadata_services_and_link_local_addresses_are_forbidden(host: str) -> None:
    assert is_forbidden(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.5", "::1", "api.openai.com", "192.168.1.1", "8.8.8.8"])
def test_other_addresses_are_not(host: str) -> None:
    assert not is_forbidden(host)


def test_a_name_that_comes_to_mean_a_metadata_service_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(*_: object, **__: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]

    def make() -> UpstreamConnection:
        raise AssertionError("nothing may be connected to")

    async def try_it() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        await dial(Address(host="rebound.example", port=80, tls=None, connect_s=5), make)

    with pytest.raises(NotConnectedError, match="machines get their credentials there"):
        asyncio.run(try_it())
