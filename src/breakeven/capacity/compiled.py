"""Functions that numba compiles, and the heap that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]
    Records = np.ndarray[Any, Any]

_Function = TypeVar("_Function", bound="Callable[..., Any]")


def compiled(function: _Function, *, allocates: bool = False) -> _Function:
    """Return a function compiled at its first call; ``allocates``: it makes lists or arrays of its own.

    Where it makes none, references to arrays are not counted: they are held by the caller all the while, and counting
    them, at each call all those in its tuples, took three quarters of the time.

    What is compiled is kept for the next process where numba was told a folder before this module was imported
    (``wiring.kept_code.keep_compiled``).  Its own place beside a file would outlive changes of the files it calls.
    """
    kept = bool(vars(numba.config).get("CACHE_DIR"))
    options: dict[str, Any] = {"cache": kept, "nogil": True, "_nrt": allocates}
    return cast("_Function", numba.njit(**options)(function))


@compiled
def push(ends: Records, size: int, step: int, slot: int) -> None:
    """Enter a request's end in a heap of ``size`` others."""
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if ends[parent].step <= step:
            break
        ends[at].step, ends[at].slot = ends[parent].step, ends[parent].slot
        at = parent
    ends[at].step, ends[at].slot = step, slot


@compiled
def take(ends: Records, size: int, at: int) -> None:
    """Take the entry ``at`` out of a heap of ``size``."""
    last = size - 1
    step, slot = ends[last].step, ends[last].slot
    while True:
        child = 2 * at + 1
        if child >= last:
            break
        if child + 1 < last and ends[child + 1].step < ends[child].step:
            child += 1
        if ends[child].step >= step:
            break
        ends[at].step, ends[at].slot = ends[child].step, ends[child].slot
        at = child
    while at > 0 and ends[(at - 1) >> 1].step > step:
        parent = (at - 1) >> 1
        ends[at].step, ends[at].slot = ends[parent].step, ends[parent].slot
        at = parent
    ends[at].step, ends[at].slot = step, slot
