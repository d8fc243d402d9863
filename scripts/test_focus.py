"""Check a FOCUS export with the FinOps Foundation's focus-validator, in an environment of its own.

The validator that is on PyPI (1.0.0) checks the columns of FOCUS 1.0, under some of their earlier names and one that
no version has any more; a copy of the export carries these beside its own.  It reads its list of currencies from its
own folder, so it runs there.  ``--environment`` keeps the environment for the next run.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
NEEDS = ("focus-validator==1.0.0", "multimethod<2")
"""With multimethod 2 the validator cannot be imported."""

FORMER = {
    "Provider": "ProviderName",
    "Publisher": "PublisherName",
    "InvoiceIssuer": "InvoiceIssuerName",
    "ResourceID": "ResourceId",
    "ChargeType": "ChargeCategory",
}
"""What the validator calls columns, and what FOCUS 1.0 and later do."""

CHECK = """
import sys
from collections import Counter
from focus_validator.validator import Validator
validator = Validator(data_filename=sys.argv[1], output_type="console", output_destination=None, rules_version="1.0")
validator.load()
found = validator.spec_rules.validate(validator.focus_data)
states = Counter(item.status.value for item in found.checklist.values())
for name, item in sorted(found.checklist.items()):
    if item.status.value not in ("passed", "skipped"):
        print(item.column_id, name, item.status.value, item.friendly_name, item.error or "")
if found.failure_cases is not None:
    print(found.failure_cases.head(20).to_string())
print("focus-validator, FOCUS 1.0:", ", ".join(f"{count} checks {state}" for state, count in sorted(states.items())))
print("rows:", len(validator.focus_data))
sys.exit(set(states) - {"passed"} != set())
"""


def main() -> int:
    """Export a ledger, or take an export, and return 0 when the validator finds nothing wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="a FOCUS export (.csv); default: one of a made-up ledger")
    parser.add_argument("--environment", type=Path, help="folder of the environment, made when it is not there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        python = _environment((given.environment or here / "environment").absolute())
        export = given.file or _made_up(here)
        copy = here / "with-former-names.csv"
        _copy(export, copy)
        (packages,) = python.parent.parent.glob("lib/python*/site-packages")
        return subprocess.run([python, "-W", "ignore", "-c", CHECK, copy], cwd=packages, check=False).returncode


def _environment(home: Path) -> Path:
    """Return the Python of an environment that has the validator."""
    python = home / "bin" / "python"
    if not (home / ".ready").is_file():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *NEEDS], check=True)
        (home / ".ready").touch()
    return python


def _made_up(folder: Path) -> Path:
    """Write requests to two pools and two APIs to a ledger, as the tests do, and export it."""
    sys.path.insert(0, str(ROOT / "tests" / "ledger"))
    from pooled import CLOSED, fill, list_of, other, terms  # noqa: PLC0415 - the path was set just now

    from breakeven.ledger.cards import CardSchedule  # noqa: PLC0415
    from breakeven.ledger.pools import keep_pools  # noqa: PLC0415

    store = fill(folder / "ledger", schedule=CardSchedule([list_of("p", "m", "0.15", "0.60")]))
    keep_pools(store, (terms(), other()), CLOSED)
    export = folder / "focus.csv"
    command = [sys.executable, "-m", "breakeven", "ledger", "export", export, "--format", "focus", "--ledger", store]
    subprocess.run([*map(str, command), "--against", "openai:gpt-4o"], check=True)
    return export


def _copy(export: Path, to: Path) -> None:
    with export.open(newline="", encoding="utf-8") as source, to.open("w", newline="", encoding="utf-8") as target:
        reader = csv.DictReader(source)
        writer = csv.DictWriter(target, [*(reader.fieldnames or ()), *FORMER])
        writer.writeheader()
        for row in reader:
            writer.writerow({**row, **{former: row[name] for former, name in FORMER.items()}})


if __name__ == "__main__":
    sys.exit(main())
