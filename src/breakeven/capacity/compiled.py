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

_Function = TypeVar("_Function", bound="Callable[..., Any]")


def compiled(function: _Function) -> _Function:
    """Return a function compiled at its first call.

    What is compiled is kept for the next process where numba was told a folder before this module was imported
    (``wiring.simulate.keep_compiled``).  Its own place beside a file would outlive changes of the files it calls.
    """
    kept = bool(vars(numba.config).get("CACHE_DIR"))
    return cast("_Function", numba.njit(cache=kept, nogil=True)(function))


@compiled
def push(ends: Ints, ending: Ints, size: int, step: int, slot: int) -> None:
    """Enter a request's end in a heap of ``size`` others."""
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if ends[parent] <= step:
            break
        ends[at], ending[at] = ends[parent], ending[parent]
        at = parent
    ends[at], ending[at] = step, slot


@compiled
def take(ends: Ints, ending: Ints, size: int, at: int) -> None:
    """Take the entry ``at`` out of a heap of ``size``."""
    last = size - 1
    step, slot = ends[last], ending[last]
    while True:
        child = 2 * at + 1
        if child >= last:
            break
        if child + 1 < last and ends[child + 1] < ends[child]:
            child += 1
        if ends[child] >= step:
            break
        ends[at], ending[at] = ends[child], ending[child]
        at = child
    while at > 0 and ends[(at - 1) >> 1] > step:
        parent = (at - 1) >> 1
        ends[at], ending[at] = ends[parent], ending[parent]
        at = parent
    ends[at], ending[at] = step, slot
