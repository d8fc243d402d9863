"""Rewrite the files that are made from the code: reference pages, JSON Schemas, golden files.

``--check`` changes nothing and exits 1 with the names of stale files.
"""

from __future__ import annotations

import json
import sys
from datetime import date
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main
from rich.console import Console
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.reports.claims import claims_markdown
from breakeven.reports.terminal import verdict_view
from breakeven.sources.catalogue import load_book
from breakeven.sources.schemas import schema_text
from breakeven.wiring import PlanRequest, run_claims, run_plan, sample_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Schema = dict[str, Any]
ROOT = Path(__file__).parent.parent
NOTICE = "<!-- Made by `make generate` from the code; edit that. -->\n\n"


def render_cli() -> str:
    """Return the command reference: every command's own help."""
    root = typer.main.get_command(app)
    parts = [NOTICE + "# Commands\n"]
    parts += [f"## `{name}`\n\n```text\n{_help(name.split()[1:])}```\n" for name in _commands(root, "breakeven")]
    return "\n".join(parts)


def render_scenario() -> str:
    """Return the keys of scenarios and rate cards, from their JSON Schemas."""
    parts = [NOTICE + "# Keys of a scenario and of a file of rate cards\n"]
    for title, kind in (("Scenario", "scenario"), ("Rate cards", "rate-cards")):
        schema = json.loads(schema_text("scenario" if kind == "scenario" else "rate-cards"))
        head = "| key | type | default | what it is |\n|---|---|---|---|\n"
        parts.append(f"## {title}\n\n{schema.get('description', '')}\n")
        parts.append(head + "\n".join(_keys(schema, schema["$defs"], "")) + "\n")
    return "\n".join(parts)


def render_assumptions() -> str:
    """Return the table of assumptions."""
    head = (
        "| key | meaning | unit | low | likely | high | basis | as of | source |\n|---|---|---|---|---|---|---|---|---|"
    )
    rows = [
        f"| `{a.key}` | {a.meaning} | {a.unit} | {a.low:g} | {a.likely:g} | {a.high:g} "
        f"| {a.basis} | {a.as_of} | {a.source} |"
        for a in load_book().assumptions.values()
    ]
    intro = (
        "low and high are the 10th and 90th percentile. *judgement* means ours: no usable source was found, so set "
        "your own under `assumptions:` in a scenario.\n\n"
    )
    return NOTICE + "# Assumptions\n\n" + intro + "\n".join([head, *rows]) + "\n"


def render_claims() -> str:
    """Return the recomputed claims."""
    return claims_markdown(run_claims())


def render_verdict() -> str:
    """Return the terminal view of the bundled trace, priced on a fixed day."""
    result = run_plan(PlanRequest(files=(sample_trace(),), today="openai:gpt-4o", as_of=date(2026, 11, 21)))
    console = Console(width=140, highlight=False, record=True, file=StringIO())
    console.print(verdict_view(result))
    lines = console.export_text(styles=False).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


GENERATED: dict[str, Callable[[], str]] = {
    "docs/reference/cli.md": render_cli,
    "docs/reference/scenario.md": render_scenario,
    "docs/reference/assumptions.md": render_assumptions,
    "docs/schemas/scenario.schema.json": lambda: schema_text("scenario"),
    "docs/schemas/rate-cards.schema.json": lambda: schema_text("rate-cards"),
    "tests/golden/claims.md": render_claims,
    "tests/golden/verdict.txt": render_verdict,
}


def stale() -> list[str]:
    """Return the generated files that are not what the code makes of them now."""
    return [name for name, render in GENERATED.items() if _text(ROOT / name) != render()]


def main() -> int:
    """Rewrite the stale files, or with ``--check`` name them."""
    found = stale()
    if "--check" in sys.argv:
        for name in found:
            print(f"{name} is stale: run make generate", file=sys.stderr)
        return 1 if found else 0
    for name in found:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(GENERATED[name](), encoding="utf-8")
        print(f"wrote {name}")
    return 0


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _commands(command: object, name: str) -> Iterator[str]:
    yield name
    for child, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _commands(inner, f"{name} {child}")


def _help(arguments: list[str]) -> str:
    return CliRunner().invoke(app, [*arguments, "--help"], prog_name="breakeven", env={"COLUMNS": "100"}).output


def _keys(node: Schema, defs: Schema, prefix: str) -> Iterator[str]:
    """Yield a table row for each key below a schema node, the nested ones with their path."""
    for name, given in node.get("properties", {}).items():
        kinds = [_resolved(kind, defs) for kind in given.get("anyOf", [given]) if kind.get("type") != "null"]
        kind = {**kinds[0], **{key: value for key, value in given.items() if key not in ("$ref", "anyOf")}}
        many = kind.get("type") == "array"
        item = _resolved(kind.get("items", {}), defs) if many else kind
        default = "required" if name in node.get("required", []) else _default(given)
        text = given.get("description") or item.get("description", "")
        yield f"| `{prefix}{name}` | {_type(kinds, defs)} | {default} | {' '.join(text.split())} |"
        yield from _keys(item, defs, f"{prefix}{name}{'[]' if many else ''}.")


def _resolved(node: Schema, defs: Schema) -> Schema:
    return defs[node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def _type(kinds: list[Schema], defs: Schema) -> str:
    """Return what may be written, in words."""
    found: list[str] = []
    for kind in kinds:
        if "enum" in kind:
            found.append(" \\| ".join(f"`{value}`" for value in kind["enum"]))
        elif kind.get("type") == "array":
            found.append(f"list of {_type([_resolved(kind.get('items', {}), defs)], defs)}")
        else:
            name = str(kind.get("format", kind.get("type", "any")))
            found.append("mapping" if name == "object" else name)
    return " or ".join(dict.fromkeys(found))


def _default(given: Schema) -> str:
    value = given.get("default")
    return "" if value is None or value in ([], {}) or isinstance(value, dict) else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    sys.exit(main())
