"""Install the core alone in a fresh environment; report its size and start-up times, and check what it must keep.

The size limit and the absence of heavy packages are asserted; times are only reported, since machines differ.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIMIT_MB = 150
RUNS = 7


def main() -> int:
    """Measure, print a table, and return 1 when the core is too large or does not work alone."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        venv.create(home, with_pip=True)
        python, command = home / "bin" / "python", home / "bin" / "breakeven"
        bare_mb = _size_mb(home)
        _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ROOT)
        core_mb = _size_mb(home) - bare_mb
        bare_s = _median_s(python, "-c", "pass")
        import_s = _median_s(python, "-c", "import breakeven") - bare_s
        help_s = _median_s(command, "--help") - bare_s
        problems = _problems(command, core_mb)
    print(f"core install      {core_mb:6.1f} MB   (at most {LIMIT_MB})")
    print(f"import breakeven  {import_s:6.3f} s    above a bare interpreter, median of {RUNS} (aim: 0.3)")
    print(f"breakeven --help  {help_s:6.3f} s    above a bare interpreter, median of {RUNS} (aim: 0.4)")
    for problem in problems:
        print(f"FAILED: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _problems(command: Path, core_mb: float) -> list[str]:
    """Return what the core alone does not keep of its promises."""
    found = []
    if core_mb > LIMIT_MB:
        found.append(f"the core install takes {core_mb:.0f} MB, more than {LIMIT_MB}")
    if "openai:gpt-4o" not in _run(command, "catalog", "prices", "--search", "openai:gpt-4o"):
        found.append("the catalogue does not work without the plan extra")
    for words, expected in ((("claims", "--markdown"), "capacity-60"), (("catalog", "models"), "llama-3.3-70b")):
        if expected not in _run(command, *words):
            found.append(f"breakeven {' '.join(words)} does not work without the plan extra")
    refused = subprocess.run(
        [command, "plan", "x.csv", "--today", "gpt-4o"], capture_output=True, text=True, check=False
    )
    if refused.returncode != 2 or "breakeven[plan]" not in refused.stderr:
        found.append(f"plan without its extra should say what to install and exit 2, got: {refused.stderr!r}")
    return found


def _run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def _median_s(*command: str | Path) -> float:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
