"""One case: made from target, seed and number alone, so that it can be made again."""

from __future__ import annotations

import signal
import traceback
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np
from mutations import pick, spoil
from targets import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from targets import Files, Target

MOST_S: Final = 20
"""A case that works longer hangs, as far as a person who waits can tell; the usual one takes a fiftieth of a second.

Of processor time, so that a busy machine makes no failures; one that waits for ever is ended by ``run_fuzz``.
"""


def make_case(target: Target, seed: int, number: int) -> tuple[Files, bool]:
    """Return the files of a case, one of them spoiled, and whether they are read strictly."""
    rng = np.random.default_rng([seed, zlib.crc32(target.name.encode()), number])
    files = list(pick(target.seeds, rng))
    place = int(rng.integers(len(files)))
    name, content = files[place]
    files[place] = name, spoil(content, rng)
    return tuple(files), bool(rng.integers(4) == 0)


def run_case(target: Target, files: Files, *, strict: bool) -> tuple[str, str]:
    """Return how a case ended and, where that may not be, what was seen: (``violation``, its text)."""
    try:
        with _at_most(MOST_S):
            return target.run(files, strict=strict), ""
    except Violation as violation:
        return "violation", str(violation)
    except Exception:  # noqa: BLE001 - any other is what is looked for
        return "violation", traceback.format_exc(limit=-6)


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Violation(f"still at work after {seconds} s")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
