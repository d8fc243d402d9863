"""A node as a person writes it on the command line: ``2xH100:llama-3.3-70b:fp8:vllm``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from breakeven.capacity.estimate import Deployment
from breakeven.errors import InputError
from breakeven.wiring.capacity import MAX_GPUS, PRECISIONS

if TYPE_CHECKING:
    from breakeven.catalog.book import Book

_POOL: Final = re.compile(
    r"(?P<gpus>[1-9]\d{0,3})x(?P<gpu>[^:]+):(?P<model>[^:]+)(:(?P<precision>[^:]+))?(:(?P<engine>[^:]+))?"
)


def is_pool(text: str) -> bool:
    """Whether the text has the form of a node, rather than a name of somebody's own."""
    return _POOL.fullmatch(text) is not None


def deployment_of(text: str, book: Book, *, engine: str | None = None) -> Deployment:
    """Return the node that the text names; precision and engine may be left out.

    Raises ``InputError`` for another form, ``UnknownNameError`` for a model or GPU that is not in the catalogue.
    """
    found = _POOL.fullmatch(text)
    if found is None:
        raise InputError(
            f"--pool {text[:80]!r} is not of the form GPUSxGPU:MODEL:PRECISION:ENGINE. "
            "Write, for example, 2xH100:llama-3.3-70b:fp8:vllm; the last two may be left out."
        )
    model, gpu, gpus = book.model(found["model"]), book.gpu(found["gpu"]), int(found["gpus"])
    precision = found["precision"] or model.precisions[0]
    if gpus > MAX_GPUS:
        raise InputError(f"--pool: a node has 1 to {MAX_GPUS} GPUs, not {gpus}. Take a node of fewer.")
    if precision not in PRECISIONS:
        raise InputError(f"--pool: the precision {precision!r} is none of {', '.join(PRECISIONS)}.")
    return Deployment(model=model, gpu=gpu, gpus=gpus, precision=precision, engine=found["engine"] or engine or "vllm")
