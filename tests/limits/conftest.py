"""One server for all tests of shared limits; each begins with an empty one that is running."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from breakeven.limits import shared
from limits.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with much to do is not a server that is away."""
    monkeypatch.setattr(shared, "PATIENCE_S", 10.0)


@pytest.fixture(scope="session")
def _one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    started.start()
    yield started
    started.kill()


@pytest.fixture
def server(_one_server: Server) -> Iterator[Server]:
    """An empty server; a test that kills it starts it again."""
    _one_server.forget()
    yield _one_server
    _one_server.kill()
    _one_server.start()
