"""A real engine inside this process: llama.cpp's own HTTP server, from the wheel ``xllamacpp`` (extra ``engine``).

It listens on a free port of the loopback interface unless told otherwise, and is up in about a tenth of a second with a
small model.  Its threads hold no Python lock, so it serves while Python waits.  For demonstrations, tests, and models
that this machine can serve: ``breakeven engine run`` keeps one up in a process of its own.

Two of its habits matter to whoever talks to it: it answers whatever model name it is asked for, and it closes
connections after 100 requests or 5 idle seconds.
"""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

_SPARE_HTTP_THREADS: Final = 64
"""A kept connection holds one HTTP thread even while it is idle: with fewer threads than kept connections the
server stands still until one of them times out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How much an engine serves at once."""

    name: str = "tiny"
    """The name under which ``/v1/models`` lists the model."""

    slot_count: int = 4
    """Requests generated for at the same time; more wait in its queue."""

    slot_context_tokens: int = 2048
    """Prompt and answer of one request together."""

    thread_count: int = 1
    api_key: str = ""
    """The key it asks for; empty: none."""

    host: str = "127.0.0.1"
    port: int = 0
    """0: one that is free."""


@contextmanager
def running_engine(model: Path, settings: EngineSettings | None = None) -> Iterator[str]:
    """Serve a GGUF file while the context lasts; yields the base URL, ``http://127.0.0.1:PORT/v1``.

    The engine is ready when this yields, and has stopped when the context ends.  Raises ``MissingExtraError``
    without ``xllamacpp``, and ``InputError`` when the file is no model that llama.cpp can load.
    """
    llama = _llama_cpp()
    try:
        server = llama.Server(_parameters(llama, model, settings or EngineSettings()))
    except RuntimeError as error:
        raise InputError(f"llama.cpp cannot serve {model}: {error}  Is it a GGUF file that fits in memory?") from error
    try:
        yield f"{server.listening_address}/v1"
    finally:
        del server  # its destructor ends the requests in flight, the threads and the listening socket


def _llama_cpp() -> ModuleType:
    """Import it only now: it is an extra, and a whole inference engine."""
    try:
        return importlib.import_module("xllamacpp")
    except ModuleNotFoundError as error:
        raise MissingExtraError("The embedded engine needs llama.cpp: pip install 'breakeven[engine]'") from error


def _parameters(llama: ModuleType, model: Path, settings: EngineSettings) -> Any:
    parameters = llama.CommonParams()
    parameters.model.path = str(model)
    parameters.model_alias = {settings.name}
    parameters.hostnames = [settings.host]
    parameters.port = settings.port
    parameters.n_parallel = settings.slot_count
    parameters.n_ctx = settings.slot_count * settings.slot_context_tokens
    parameters.cpuparams.n_threads = settings.thread_count
    parameters.n_threads_http = settings.slot_count + _SPARE_HTTP_THREADS
    parameters.warmup = False
    parameters.verbosity = 0
    parameters.endpoint_metrics = True
    parameters.endpoint_slots = True
    if settings.api_key:
        parameters.api_keys = [settings.api_key]
    return parameters
