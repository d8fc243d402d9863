"""One upstream, one engine and one gateway for all tests that need no settings of their own."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from openai import OpenAI

from breakeven.engines.embedded import EngineSettings, running_engine
from breakeven.engines.random_gguf import write_random_llama
from gateway.gateway import HASTY, KEY, TIMEOUTS, Gateway, free_port, running_gateway, settings, target
from gateway.scripted import BlackHole, ConnectProxy, ScriptedUpstream, scripted_upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gateway.gateway import Settings

PROXY_PASSWORD = "tunnel"  # noqa: S105 - of a proxy that lives for these tests


@pytest.fixture(scope="session")
def upstream() -> Iterator[ScriptedUpstream]:
    """An upstream without TLS."""
    with scripted_upstream() as started:
        yield started


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Who vouches for the upstream with TLS."""
    return trustme.CA()


@pytest.fixture(scope="session")
def secure_upstream(authority: trustme.CA) -> Iterator[ScriptedUpstream]:
    """An upstream with TLS, whose certificate says ``localhost`` and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with scripted_upstream(context) as started:
        yield started


@pytest.fixture(scope="session")
def proxy() -> Iterator[ConnectProxy]:
    """A CONNECT proxy that asks for a password."""
    started = ConnectProxy("Basic dGVzdHM6dHVubmVs")
    yield started
    started.close()


@pytest.fixture(scope="session")
def black_hole() -> Iterator[BlackHole]:
    """An address at which connections are never made."""
    with BlackHole() as hole:
        yield hole


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a real llama.cpp with random weights."""
    model = tmp_path_factory.mktemp("engine") / "tiny.gguf"
    write_random_llama(model)
    with running_engine(model, EngineSettings(name="tiny")) as url:
        yield url


@pytest.fixture(scope="session")
def shared_settings(
    upstream: ScriptedUpstream,
    secure_upstream: ScriptedUpstream,
    proxy: ConnectProxy,
    black_hole: BlackHole,
    engine: str,
) -> Settings:
    """Targets of every kind, and models that put them in an order."""
    tunnel = f"http://127.0.0.1:{proxy.port}"
    trusted = {"ca_file": "authority.pem"}
    targets = {
        "a": target(upstream.url("a"), headers={"authorization": "file:upstream.key", "x-team": "search"}),
        "b": target(upstream.url("b")),
        "c": target(upstream.url("c")),
        "hasty": target(upstream.url("hasty"), timeouts=HASTY),
        "brisk": target(upstream.url("brisk"), timeouts=TIMEOUTS | {"between_tokens_s": 1}),
        "nobody": target(f"http://127.0.0.1:{free_port()}/v1"),
        "hole": target(f"http://127.0.0.1:{black_hole.port}/v1", timeouts=HASTY),
        "renamed": target(upstream.url("renamed"), model="its-own-name"),
        "uncounted": target(upstream.url("uncounted"), stream_usage=False),
        "uncharted": {"url": upstream.url("uncharted")},
        "secure": target(secure_upstream.url("secure", "localhost"), **trusted),
        "mistrusted": target(secure_upstream.url("mistrusted", "localhost")),
        "misnamed": target(secure_upstream.url("misnamed"), **trusted),
        "tunnelled": target(
            secure_upstream.url("tunnelled", "localhost"),
            proxy={"url": tunnel, "user": "tests", "password": "file:proxy.password"},
            **trusted,
        ),
        "turned-away": target(secure_upstream.url("turned-away", "localhost"), proxy=tunnel, **trusted),
        "engine": target(engine),
    }
    models = {
        "solo": ["a"],
        "pair": ["a", "b"],
        "trio": ["a", "b", "c"],
        "engine-then-b": ["engine", "b"],
        **{name: [name] for name in targets if name not in "abc"},
        **{
            f"{name}-then-b": [name, "b"]
            for name in ("hasty", "nobody", "hole", "mistrusted", "misnamed", "turned-away")
        },
    }
    written: Settings = {name: {"targets": order} for name, order in models.items()}
    written["trio-tried-twice"] = {"targets": ["a", "b", "c"], "max_attempts": 2}
    written["uncharted-refused"] = {"targets": ["uncharted"], "unknown_price": "refuse"}
    written["tiny"] = {"targets": ["engine"]}
    return settings(targets, written)


@pytest.fixture(scope="session")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, shared_settings: Settings, authority: trustme.CA
) -> Iterator[Gateway]:
    """The gateway in front of all of them."""
    folder = tmp_path_factory.mktemp("gateway")
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    (folder / "upstream.key").write_text("Bearer sk-of-the-upstream\n")
    (folder / "proxy.password").write_text(PROXY_PASSWORD)
    with running_gateway(folder, shared_settings) as started:
        yield started


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Start a gateway with settings of its own, for one test."""
    started: list[Gateway] = []

    def start(configured: Settings, rate_cards: Settings | None = None) -> Gateway:
        folder = tmp_path / f"gateway-{len(started)}"
        folder.mkdir(exist_ok=True)
        started.append(Gateway(folder, configured, rate_cards))
        started[-1].start()
        return started[-1]

    yield start
    for gateway in started:
        gateway.kill()


@pytest.fixture(scope="session")
def client(gateway: Gateway) -> Iterator[OpenAI]:
    """The official SDK, set up as a team would: two lines; without its own retries, which would hide ours."""
    with OpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0) as opened:
        yield opened
