"""``breakeven engine``: self-hosted engines, run on this machine, described for others, and asked how they are."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breakeven.cli.engine_manifest import manifest
from breakeven.cli.engine_schedule import schedule
from breakeven.cli.engine_status import status
from breakeven.errors import InputError

if TYPE_CHECKING:
    from breakeven.wiring.engine_canary import Canary

app = typer.Typer(
    help="Run self-hosted engines, write what starts them elsewhere, and ask them how they are.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command()(manifest)
app.command()(status)
app.command()(schedule)


@app.command()
def run(
    engine: Annotated[
        str, typer.Argument(help="llama.cpp (nothing else to install), vllm, sglang, trtllm, tgi, ollama.")
    ],
    model: Annotated[str, typer.Argument(help="What it loads: a GGUF file, a folder, a repository's name.")],
    extra: Annotated[
        list[str] | None, typer.Argument(help="After --: further arguments for the engine itself.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name under which it is served; default: that of MODEL.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65_535)] = 8000,
    context_tokens: Annotated[int | None, typer.Option(help="Longest prompt and answer together.", min=1)] = None,
    slots: Annotated[int | None, typer.Option(help="Requests worked on at once.", min=1, max=4096)] = None,
    gpus: Annotated[int, typer.Option(help="GPUs that share the weights.", min=1, max=64)] = 1,
    quantisation: Annotated[
        str | None, typer.Option(help="Precision, such as fp8; default: as the weights are.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Of llama.cpp; default: one for each core.", min=1)] = None,
    key: Annotated[str | None, typer.Option(help="Key that clients must send, as env:NAME or file:PATH.")] = None,
    random: Annotated[bool, typer.Option("--random", help="Write MODEL first: small, random, to try with.")] = False,
    ready_s: Annotated[float, typer.Option(help="Seconds that its start may take.", min=1)] = 900,
    log: Annotated[Path | None, typer.Option(help="File for its output; default: ours.")] = None,
    canary: Annotated[str | None, typer.Option(help="Golden prompt; worse answers start the engine afresh.")] = None,
    canary_expect: Annotated[str | None, typer.Option(help="What a good answer holds; default: as the first.")] = None,
    canary_s: Annotated[float, typer.Option(help="Seconds between golden prompts.", min=1)] = 60,
) -> None:
    """Keep an engine up on this machine until Ctrl-C, and print the entry of breakeven.yaml that leads to it."""
    from breakeven.engines.launch import Launch, pool_entry
    from breakeven.wiring.engine_run import Keeping, run_engine

    launch = Launch(
        engine=_known(engine),
        model=model,
        name=_printable(name or _name_of(model)),
        host=host,
        port=port,
        context_tokens=context_tokens,
        slot_count=slots,
        gpus=gpus,
        precision=_precision(quantisation),
        extra=tuple(extra or ()),
    )
    if random:
        _write_random(engine, Path(model))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    keeping = Keeping(
        ready_s=ready_s,
        log=log,
        threads_count=threads,
        key=_key(key),
        canary=_canary(canary, canary_expect, launch.name, canary_s),
        on_ready=lambda: typer.echo(pool_entry(launch)),
    )
    typer.echo(f"{engine} is starting with {model} …", err=True)
    run_engine(launch, keeping)
    typer.echo(f"{engine} has stopped.", err=True)


def _known(engine: str) -> str:
    from breakeven.engines.launch import PROGRAMS

    if engine not in PROGRAMS:
        raise InputError(f"There is no engine {engine[:40]!r} to run: choose one of {', '.join(PROGRAMS)}.")
    return engine


def _precision(quantisation: str | None) -> str | None:
    from breakeven.catalog.models import BITS_PER_WEIGHT

    if quantisation is not None and quantisation not in BITS_PER_WEIGHT:
        raise InputError(f"--quantisation {quantisation[:40]!r} is none of {', '.join(BITS_PER_WEIGHT)}.")
    return quantisation


def _name_of(model: str) -> str:
    """Return a file's name without its ending; of anything else, what it was called."""
    return Path(model).stem if model.endswith(".gguf") else model.rstrip("/")


def _printable(name: str) -> str:
    if not name.isprintable():
        raise InputError(f"The name {name[:60]!r} has characters that cannot be shown: say another with --name.")
    return name


def _write_random(engine: str, path: Path) -> None:
    from breakeven.engines.random_gguf import write_random_llama

    if engine != "llama.cpp":
        raise InputError(f"--random writes a GGUF file, which {engine} does not load: use it with llama.cpp.")
    if path.exists():
        return
    try:
        write_random_llama(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def _key(reference: str | None) -> str:
    if reference is None:
        return ""
    from breakeven.settings.one_secret import read_secret

    return read_secret(reference, "--key")


def _canary(prompt: str | None, expected: str | None, model: str, every_s: float) -> Canary | None:
    if prompt is None:
        if expected is not None:
            raise InputError("--canary-expect says what a good answer holds, but --canary says no prompt.")
        return None
    if not prompt or expected == "":
        raise InputError("--canary and --canary-expect are texts: an empty one tells nothing of the answers.")
    from breakeven.engines.canary import Golden
    from breakeven.wiring.engine_canary import Canary

    return Canary(Golden(prompt=prompt, expected=expected), model, every_s=every_s)
