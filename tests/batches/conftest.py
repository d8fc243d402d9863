"""One upstream for all tests of files and batches; gateways are each test's own, or shared where that does no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from openai import OpenAI

from batches.served import BATCHES, PATIENT, two_keys
from breakeven.batches.store import Store
from gateway.gateway import KEY, Gateway, running_gateway, target
from gateway.scripted import ScriptedUpstream, scripted_upstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def upstream() -> Iterator[ScriptedUpstream]:
    """An upstream without TLS."""
    with scripted_upstream() as started:
        yield started


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Gateway]:
    """A gateway that serves batches, with keys of two teams."""
    targets = {name: target(upstream.url(name), timeouts=PATIENT) for name in ("a", "b")}
    configured = two_keys(targets, {name: {"targets": [name]} for name in targets}, batches=BATCHES)
    with running_gateway(tmp_path_factory.mktemp("gateway"), configured) as started:
        yield started


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    """The official SDK, without its own retries."""
    with OpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store of batches."""
    opened = Store(tmp_path / "batches")
    yield opened
    opened.close()
