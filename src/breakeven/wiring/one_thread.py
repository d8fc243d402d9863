"""Keeps linear algebra to one thread, for commands that compute models."""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "OPENBLAS_NUM_THREADS"


def one_thread() -> None:
    """Have numpy's linear algebra keep to one thread, unless the environment says how many; before numpy is imported.

    The matrices have tens to hundreds of rows, and threads wait for each other longer than they compute: on two cores
    that others use too, ``outlook`` took three times as long with two.  The last bits of figures are then
    the same on every number of cores.
    """
    os.environ.setdefault(VARIABLE, "1")  # noqa: TID251 - no setting: it concerns the machine
