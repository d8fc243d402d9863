"""Keeps an engine up on this machine: starts it, waits until it is well, starts it again when it ends or hangs."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

from breakeven.engines import ENGINES
from breakeven.engines.embedded import EngineSettings
from breakeven.engines.launch import PROGRAMS, command_of
from breakeven.engines.upkeep import HEALTH_CHECK_S, LOST_CHECKS, READY_CHECK_S, STEADY_S, STOP_S, pause_s
from breakeven.errors import InputError, MissingExtraError
from breakeven.settings.passed_on import environment_with
from breakeven.wiring.clock import SystemClock
from breakeven.wiring.engine_ask import Door, NoAnswerError, ask
from breakeven.wiring.engine_llama import Order
from breakeven.wiring.stopping import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from breakeven.engines.launch import Launch
    from breakeven.wiring.engine_canary import Canary

_log = logging.getLogger(__name__)

_ANSWER_S: Final = 5.0
_POLL_S: Final = 0.2
_DEFAULT_CONTEXT_TOKENS: Final = 4096
_DEFAULT_SLOTS: Final = 4
_MOST_CONTEXT_TOKENS: Final = 2**31 - 1
"""Of all slots of the embedded llama.cpp together."""

_OUTPUT: Final = "what it said stands above"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How an engine is kept up."""

    ready_s: float = 900.0
    """How long its start may take: weights of tens of gigabytes are read, or downloaded."""

    log: Path | None = None
    """File to which its output is appended; None: it goes where ours goes."""

    threads_count: int | None = None
    """Of the embedded llama.cpp; None: one for each core."""

    key: str = field(default="", repr=False)
    canary: Canary | None = None
    on_ready: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class _Start:
    """What is started: arguments, environment, and what is said on standard input."""

    arguments: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)
    spoken: bytes = field(default=b"", repr=False)


def run_engine(launch: Launch, keeping: Keeping) -> None:
    """Keep the engine up until SIGINT or SIGTERM, then stop it.

    Raises ``InputError`` where it cannot be started, does not become well in time at its first start, or its port is
    taken; ``MissingExtraError`` where the embedded llama.cpp is not installed.
    """
    start = _start(launch, keeping)
    _need_free_port(launch)
    with _stopping() as stop, _output(keeping.log) as output:
        _Keeper(launch, keeping, start, stop, output).run()


class _Keeper:
    """One engine and its process."""

    def __init__(self, launch: Launch, keeping: Keeping, start: _Start, stop: Stop, output: IO[bytes] | None) -> None:
        self._launch, self._keeping, self._start, self._stop, self._output = launch, keeping, start, stop, output
        self._clock = SystemClock()
        self._asking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="canary")  # no stop waits for an answer
        self._was_ready = False
        self._health = ENGINES[launch.engine].health_path
        headers = {"authorization": f"Bearer {keeping.key}"} if keeping.key else {}
        self._door = Door(launch.url, headers)

    def run(self) -> None:
        """Keep it up until told to stop.  Raises ``InputError`` when its first life ends before it is ready."""
        ends = 0
        while not self._stop.is_set():
            process = self._spawn()
            began_s = self._clock.monotonic()
            try:
                why = self._become_ready(process) or self._watch(process)
            finally:
                _end(process)
            if self._stop.is_set():
                return
            if not self._was_ready:
                raise InputError(self._no_start(why))
            ends = 1 if self._clock.monotonic() - began_s > STEADY_S else ends + 1
            _log.warning("%s %s; it is started again in %g s.", self._launch.name, why, pause_s(ends))
            self._stop.wait(pause_s(ends))

    def _spawn(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 - the command that the user named
            self._start.arguments,
            stdin=subprocess.PIPE,
            stdout=self._output or sys.stderr,
            stderr=self._output or sys.stderr,
            env=self._start.environment,
            process_group=0,  # the terminal's Ctrl-C is for us: we ask the engine to stop
        )
        if process.stdin is not None:
            try:
                process.stdin.write(self._start.spoken)
                process.stdin.close()
            except BrokenPipeError:
                _log.warning("%s ended before it was told what to do.", self._launch.name)
        _log.info("%s started as process %d.", self._launch.name, process.pid)
        return process

    def _become_ready(self, process: subprocess.Popen[bytes]) -> str | None:
        """Wait until it is well; return why it is not, or None."""
        began_s = self._clock.monotonic()
        while not self._stop.wait(READY_CHECK_S):
            if process.poll() is not None:
                return _ended(process)
            if self._is_well():
                self._be_ready(self._clock.monotonic() - began_s)
                return None
            if self._clock.monotonic() > began_s + self._keeping.ready_s:
                return f"was not ready after {self._keeping.ready_s:g} s"
        return "was stopped"

    def _be_ready(self, took_s: float) -> None:
        _log.info("%s is ready after %.1f s.", self._launch.name, took_s)
        if not self._was_ready:
            self._was_ready = True
            self._look_at_models()
            self._keeping.on_ready()

    def _watch(self, process: subprocess.Popen[bytes]) -> str:
        """Return why it has to be started again, once it has; or that it is to stop."""
        lost, looked_s, canary = 0, self._clock.monotonic(), self._keeping.canary
        asked: Future[str | None] | None = None
        if canary is not None:
            asked = self._asking.submit(canary.begin, self._door, looked_s)
        while not self._stop.wait(_POLL_S):
            if process.poll() is not None:
                return _ended(process)
            now_s = self._clock.monotonic()
            if now_s - looked_s >= HEALTH_CHECK_S:
                looked_s = now_s
                lost = 0 if self._is_well() else lost + 1
                if lost >= LOST_CHECKS:
                    return f"did not answer {LOST_CHECKS} checks in a row"
            if canary is not None and asked is not None and asked.done():
                if worse := asked.result():
                    return worse
                asked = self._asking.submit(canary.look, self._door, now_s)
        return "was stopped"

    def _look_at_models(self) -> None:
        """Say so if it lists models, and not the one that it should serve."""
        engine = ENGINES[self._launch.engine]
        try:
            names = engine.read_models(ask(self._door, engine.models_path, timeout_s=_ANSWER_S))
        except NoAnswerError:
            return
        if self._launch.name not in names:
            hint = f" Pull it: ollama pull {self._launch.model}." if engine.name == "ollama" else ""
            listed = ", ".join(names) or "none"
            _log.warning("it does not list the model %s, but %s.%s", self._launch.name, listed, hint)

    def _is_well(self) -> bool:
        try:
            ask(self._door, self._health, timeout_s=_ANSWER_S)
        except NoAnswerError:
            return False
        return True

    def _no_start(self, why: str) -> str:
        engine = ENGINES[self._launch.engine].title
        said = f"what it said is in {self._keeping.log}" if self._keeping.log else _OUTPUT
        return f"{engine} {why} before it served {self._launch.model}; {said}."


def _start(launch: Launch, keeping: Keeping) -> _Start:
    """Return what to start.  Raises ``InputError`` or ``MissingExtraError`` where it is not installed."""
    if launch.engine == "llama.cpp" and not launch.extra:
        return _embedded(launch, keeping)
    program, command = PROGRAMS[launch.engine], command_of(launch)
    found = shutil.which(command.arguments[0])
    if found is None:
        title = ENGINES[launch.engine].title
        raise InputError(f"{title} is started by {command.arguments[0]}, which is not on PATH: {program.install}.")
    told = dict(command.environment)
    if keeping.key:
        if program.key_variable is None:
            raise InputError(
                f"{launch.engine} takes its key as an argument only: write it after --, as it asks for it."
            )
        told[program.key_variable] = keeping.key
    return _Start((found, *command.arguments[1:]), environment_with(told))


def _embedded(launch: Launch, keeping: Keeping) -> _Start:
    """Return our own process with llama.cpp inside."""
    import importlib.util

    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtraError("The embedded engine needs llama.cpp: pip install 'breakeven[engine]'")
    if not Path(launch.model).is_file():
        raise InputError(
            f"There is no file {launch.model}: the embedded llama.cpp serves a GGUF file. Download one, "
            "or say --random for a small model of random weights to try with."
        )
    settings = EngineSettings(
        name=launch.name,
        slot_count=launch.slot_count or _DEFAULT_SLOTS,
        slot_context_tokens=launch.context_tokens or _DEFAULT_CONTEXT_TOKENS,
        thread_count=keeping.threads_count or len(os.sched_getaffinity(0)),
        api_key=keeping.key,
        host=launch.host,
        port=launch.port,
    )
    if settings.slot_count * settings.slot_context_tokens > _MOST_CONTEXT_TOKENS:
        raise InputError(
            f"--slots {settings.slot_count} of --context-tokens {settings.slot_context_tokens:,} are more tokens than "
            f"llama.cpp can count, {_MOST_CONTEXT_TOKENS:,}. Say fewer of either."
        )
    order = msgspec.json.encode(Order(model=launch.model, settings=settings, keeper_pid=os.getpid()))
    return _Start((sys.executable, "-P", "-m", "breakeven.wiring.engine_llama"), environment_with({}), order)


def _need_free_port(launch: Launch) -> None:
    """Raise ``InputError`` where another program listens already: it would be taken for the engine."""
    family = socket.AF_INET6 if ":" in launch.host else socket.AF_INET
    try:
        with socket.create_server((launch.host, launch.port), family=family):
            return
    except OSError as error:
        raise InputError(
            f"The engine cannot listen on {launch.host} port {launch.port}: {error.strerror}. "
            "Choose another with --port."
        ) from error


def _ended(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop it and what it started: ask, then kill."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            _log.warning("process %d does not stop and is killed.", process.pid)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _stopping() -> Iterator[Stop]:
    """Yield what SIGINT and SIGTERM set."""
    stop = Stop()
    former = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def _output(log: Path | None) -> Iterator[IO[bytes] | None]:
    if log is None:
        yield None
        return
    try:
        with log.open("ab") as file:
            yield file
    except OSError as error:
        raise InputError(f"--log {log} cannot be written: {error.strerror}.") from error
