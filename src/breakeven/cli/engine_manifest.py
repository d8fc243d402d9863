"""``breakeven engine manifest``: what starts an engine elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breakeven.errors import InputError


def manifest(
    form: Annotated[str, typer.Argument(help="compose, kubernetes, skypilot or cerebrium.")],
    pool: Annotated[str, typer.Option(help="A pool of the settings, or a node: 2xH100:llama-3.3-70b:fp8:vllm.")],
    extra: Annotated[list[str] | None, typer.Argument(help="After --: further arguments for the engine.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings with the pool; default: breakeven.yaml.")] = None,
    weights: Annotated[str | None, typer.Option(help="What it loads; default: as the catalogue knows it.")] = None,
    context_tokens: Annotated[int | None, typer.Option(help="Longest prompt and answer together.", min=1)] = None,
    slots: Annotated[int | None, typer.Option(help="Requests worked on at once.", min=1, max=4096)] = None,
    nodes: Annotated[int | None, typer.Option(help="Nodes that are always up.", min=0, max=1024)] = None,
    most_nodes: Annotated[int | None, typer.Option(help="Nodes at the peak.", min=1, max=1024)] = None,
    image: Annotated[str | None, typer.Option(help="Container image; default: the engine's own.")] = None,
    key: Annotated[bool, typer.Option("--key", help="Clients must send a key, kept as a secret there.")] = False,
    prometheus: Annotated[str | None, typer.Option(help="Its address, for KEDA.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; default: show it.")] = None,
) -> None:
    """Write a Docker Compose, Kubernetes, SkyPilot or Cerebrium file that starts the engine of a pool."""
    from breakeven.wiring.engine_manifest import PROMETHEUS, ManifestRequest
    from breakeven.wiring.engine_manifest import manifest as write

    request = ManifestRequest(
        form=form,
        pool=pool,
        config=config,
        weights=weights,
        context_tokens=context_tokens,
        slot_count=slots,
        nodes=nodes,
        most_nodes=most_nodes,
        image=image,
        needs_key=key,
        prometheus=prometheus or PROMETHEUS,
        extra=tuple(extra or ()),
    )
    text = write(request)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}.") from error
    typer.echo(f"Written to {output}.", err=True)
