"""A folder for what numba compiles, so that the next process need not."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path


def keep_compiled() -> None:
    """Have numba keep what it compiles in a folder for just these sources; to be called before they are imported.

    Its own place beside each file knows only that file, and would go on with old code of the files that it calls.
    Where there is no such folder to be had, everything is compiled anew, which takes some ten seconds.
    """
    import numba

    package = Path(__file__).parents[1]
    sources = sorted([*package.glob("capacity/*.py"), *package.glob("routing/**/*.py")])
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    folder = Path.home() / ".cache" / "breakeven" / f"compiled-{digest[:16]}"
    with suppress(OSError, RuntimeError):
        folder.mkdir(parents=True, exist_ok=True)
        vars(numba.config)["CACHE_DIR"] = str(folder)
