"""Rewrite the files that are made from the code: reference pages, JSON Schemas, golden files.

``--check`` changes nothing and exits 1 with the names of stale files.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main
from rich.console import Console
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.quantities import UNIT_SUFFIXES
from breakeven.reports.as_json import plain
from breakeven.reports.claims import claims_markdown
from breakeven.reports.markdown import verdict_markdown
from breakeven.reports.terminal import verdict_view
from breakeven.settings import config_schema
from breakeven.sources.catalogue import load_book
from breakeven.sources.schemas import schema_text
from breakeven.wiring.plan import PlanRequest, run_claims, run_plan, sample_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from breakeven.studies.verdict.result import Verdict

Schema = dict[str, Any]
ROOT = Path(__file__).parent.parent
NOTICE = "<!-- Made by `make generate` from the code; edit that. -->\n\n"
HELP_COLUMNS = 100


def render_cli() -> str:
    """Return the command reference: every command's own help."""
    root = typer.main.get_command(app)
    parts = [NOTICE + "# Commands\n"]
    parts += [f"## `{name}`\n\n```text\n{_help(name.split()[1:])}```\n" for name in command_names(root)]
    return "\n".join(parts)


def render_scenario() -> str:
    """Return the keys of scenarios and rate cards, from the classes that validate them."""
    parts = [NOTICE + "# Keys of a scenario and of a file of rate cards\n"]
    parts += [
        _key_table("Scenario", schema_text("scenario")),
        _key_table("Rate cards", schema_text("rate-cards")),
    ]
    return "\n".join(parts)


def render_config() -> str:
    """Return the keys of the gateway's settings, from the classes that validate them."""
    notes = (
        "Paths start from the folder that the file is in. A secret is named by reference, `env:NAME` or `file:PATH`, "
        "and never written out. How to write one: [Run the gateway](../howto/run-the-gateway.md).\n"
    )
    return f"{NOTICE}# Keys of breakeven.yaml\n\n{notes}\n{_key_table('breakeven.yaml', config_schema())}"


def render_assumptions() -> str:
    """Return the table of assumptions."""
    intro = (
        "low and high are the 10th and 90th percentile. *judgement* means ours: no usable source was found, so set "
        "your own under `assumptions:` in a scenario.\n"
    )
    columns = ("key", "meaning", "unit", "low", "likely", "high", "basis", "as of", "source")
    rows = [
        (f"`{a.key}`", a.meaning, a.unit, *map(_figure, (a.low, a.likely, a.high)), a.basis, str(a.as_of), a.source)
        for a in load_book().assumptions.values()
    ]
    return f"{NOTICE}# Assumptions\n\n{intro}\n{_table(columns, rows)}"


def render_scenario_schema() -> str:
    """Return the JSON Schema of a scenario."""
    return schema_text("scenario")


def render_rate_cards_schema() -> str:
    """Return the JSON Schema of a file of rate cards."""
    return schema_text("rate-cards")


def render_claims() -> str:
    """Return the recomputed claims."""
    return claims_markdown(run_claims())


def render_markdown_verdict() -> str:
    """Return the report for a pull request of the bundled trace, priced on a fixed day."""
    return verdict_markdown(_bundled_verdict())


def render_verdict_keys() -> str:
    """Return every key of a verdict's JSON with its types: a change here is a change for programs."""
    found: dict[str, set[str]] = {}
    _collect(plain(_bundled_verdict()), "", found)
    return "".join(f"{path}: {' | '.join(sorted(kinds))}\n" for path, kinds in sorted(found.items()))


def _collect(value: object, path: str, found: dict[str, set[str]]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _collect(item, f"{path}.{key}".removeprefix("."), found)
    elif isinstance(value, list):
        for item in value:
            _collect(item, f"{path}[]", found)
    else:
        kinds = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
        found.setdefault(path, set()).add(kinds[type(value)])


@cache
def _bundled_verdict() -> Verdict:
    return run_plan(PlanRequest(files=(sample_trace(),), today="openai:gpt-4o", as_of=date(2026, 11, 21)))


def render_verdict() -> str:
    """Return the terminal view of the bundled trace, priced on a fixed day."""
    console = Console(width=100, highlight=False, record=True, file=StringIO())
    console.print(verdict_view(_bundled_verdict()))
    return _stripped(console.export_text(styles=False))


GENERATED: dict[str, Callable[[], str]] = {
    "docs/reference/cli.md": render_cli,
    "docs/reference/scenario.md": render_scenario,
    "docs/reference/config.md": render_config,
    "docs/reference/assumptions.md": render_assumptions,
    "docs/schemas/scenario.schema.json": render_scenario_schema,
    "docs/schemas/rate-cards.schema.json": render_rate_cards_schema,
    "docs/schemas/config.schema.json": config_schema,
    "tests/golden/claims.md": render_claims,
    "tests/golden/verdict.txt": render_verdict,
    "tests/golden/verdict.md": render_markdown_verdict,
    "tests/golden/verdict.json.txt": render_verdict_keys,
}


def stale() -> list[str]:
    """Return the generated files that are not what the code makes of them now."""
    return [name for name, render in GENERATED.items() if _text(ROOT / name) != render()]


def main() -> int:
    """Rewrite the stale files, or with ``--check`` name them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 where a file is stale")
    only_check = parser.parse_args().check
    found = stale()
    for name in found:
        if only_check:
            print(f"{name} is stale: run make generate", file=sys.stderr)
            continue
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(GENERATED[name](), encoding="utf-8")
        print(f"wrote {name}")
    return 1 if only_check and found else 0


def command_names(command: object, name: str = "breakeven") -> Iterator[str]:
    """Yield every command's full name, the root's first."""
    yield name
    for child, inner in sorted(getattr(command, "commands", {}).items()):
        yield from command_names(inner, f"{name} {child}")


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _help(arguments: Sequence[str]) -> str:
    done = CliRunner().invoke(
        app,
        [*arguments, "--help"],
        prog_name="breakeven",
        env={"COLUMNS": str(HELP_COLUMNS), "NO_COLOR": "1"},
        terminal_width=HELP_COLUMNS,
    )
    return _stripped(done.output)


def _stripped(text: str) -> str:
    """Return a text without blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _figure(value: float) -> str:
    """Return a figure without exponent: 4440000, 0.107."""
    return f"{value:.10f}".rstrip("0").rstrip(".")


def _key_table(title: str, text: str) -> str:
    schema: Schema = json.loads(text)
    rows = list(_keys(schema, schema["$defs"], ""))
    columns = ("key", "type", "unit", "default", "what it is")
    return f"## {title}\n\n{schema.get('description', '')}\n\n{_table(columns, rows)}"


def _keys(node: Schema, defs: Schema, prefix: str) -> Iterator[tuple[str, ...]]:
    """Yield a table row for each key below a schema node, the nested ones with their path."""
    for name, given in node.get("properties", {}).items():
        kinds = [_resolved(kind, defs) for kind in given.get("anyOf", [given]) if kind.get("type") != "null"]
        kind = {**kinds[0], **{key: value for key, value in given.items() if key not in ("$ref", "anyOf")}}
        many = kind.get("type") == "array"
        item = _first(kind.get("items", {}), defs) if many else kind
        default = "required" if name in node.get("required", []) else _default(given)
        text = given.get("description") or item.get("description", "")
        yield f"`{prefix}{name}`", _type(kinds, defs), _unit(name), default, " ".join(text.replace("``", "`").split())
        yield from _keys(item, defs, f"{prefix}{name}{'[]' if many else ''}.")
        yield from _values(kind, defs, f"{prefix}{name}.KEY")


def _values(kind: Schema, defs: Schema, path: str) -> Iterator[tuple[str, ...]]:
    """Yield rows for what stands under keys of the user's own choice, as under ``assumptions``."""
    if not isinstance(kind.get("additionalProperties"), dict):
        return
    values = kind["additionalProperties"]
    kinds = [_resolved(value, defs) for value in values.get("anyOf", [values])]
    for value in kinds:
        if value.get("properties"):
            yield f"`{path}`", _type(kinds, defs), "", "", " ".join(value.get("description", "").split())
            yield from _keys(value, defs, f"{path}.")


def _unit(name: str) -> str:
    """Return the unit that a key's name carries; the longest suffix says it."""
    found = [suffix for suffix in UNIT_SUFFIXES if f"_{name}".endswith(suffix)]
    return UNIT_SUFFIXES[max(found, key=len)] if found else ""


def _resolved(node: Schema, defs: Schema) -> Schema:
    return defs[node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def _first(node: Schema, defs: Schema) -> Schema:
    """Return what a node holds: of several forms the first, which is the full one."""
    return _resolved(node.get("anyOf", [node])[0], defs)


def _type(kinds: list[Schema], defs: Schema) -> str:
    """Return what may be written, in words."""
    found: list[str] = []
    for kind in kinds:
        if "enum" in kind:
            found.append(" \\| ".join(f"`{value}`" for value in kind["enum"]))
        elif kind.get("type") == "array":
            items = kind.get("items", {})
            found.append(f"list of {_type([_resolved(item, defs) for item in items.get('anyOf', [items])], defs)}")
        else:
            name = str(kind.get("format", kind.get("type", "any")))
            found.append("mapping" if name == "object" else name)
    return " or ".join(dict.fromkeys(found))


def _default(given: Schema) -> str:
    value = given.get("default")
    return "" if value is None or value in ([], {}) or isinstance(value, dict) else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    sys.exit(main())
