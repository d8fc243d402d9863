"""The house rules that a machine can keep: purity, units in names, and limits on the tails."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import pkgutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import breakeven
from breakeven.quantities import UNIT_SUFFIXES, Interval

ROOT = Path(breakeven.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
PURE = (
    "quantities.py", "errors.py", "usage.py", "records.py",
    "catalog/", "metering/", "protocols/", "economics/", "routing/", "similar/",
    "capacity/", "evidence/",
)  # fmt: skip

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_NESTING = 3
MAX_PARAMETERS = 8

LONG_FUNCTIONS: dict[str, str] = {
    "cli/shift.py:start": "one line of help for each option of the command",
    "cli/shadow_replay.py:replay": "one line of help for each option of the command",
    "cli/bench.py:bench": "one line of help for each option of the command",
    "cli/capacity.py:estimate": "one line of help for each option of the command",
    "cli/engine.py:run": "one line of help for each option of the command",
    "cli/init.py:init": "one line of help for each option of the command",
    "cli/keys.py:create": "one line of help for each option of the command",
    "cli/outcomes_cost.py:cost": "one line of help for each option of the command",
    "cli/plan.py:plan": "one line of help for each option of the command",
    "cli/simulate.py:simulate": "one line of help for each option of the command",
    "cli/size.py:size": "one line of help for each option of the command",
}
WIDE_FUNCTIONS: dict[str, str] = {
    "cli/shadow_label.py:label": "a command's parameters are its options",
    "cli/shift.py:start": "a command's parameters are its options",
    "cli/shadow_replay.py:replay": "a command's parameters are its options",
    "cli/shadow_report.py:report": "a command's parameters are its options",
    "cli/bench.py:bench": "a command's parameters are its options",
    "cli/ledger.py:query": "a command's parameters are its options",
    "cli/ledger.py:export": "a command's parameters are its options",
    "cli/ledger_upkeep.py:import_": "a command's parameters are its options",
    "cli/keys.py:create": "a command's parameters are its options",
    "cli/outcomes_cost.py:cost": "a command's parameters are its options",
    "cli/capacity.py:estimate": "a command's parameters are its options",
    "cli/engine.py:run": "a command's parameters are its options",
    "cli/engine_manifest.py:manifest": "a command's parameters are its options",
    "cli/init.py:init": "a command's parameters are its options",
    "cli/audit.py:audit": "a command's parameters are its options",
    "cli/route.py:evaluate": "a command's parameters are its options",
    "cli/route.py:table": "a command's parameters are its options",
    "cli/plan.py:plan": "a command's parameters are its options",
    "cli/simulate.py:simulate": "a command's parameters are its options",
    "cli/size.py:size": "a command's parameters are its options",
    "cli/savings.py:savings": "a command's parameters are its options",
    "studies/verdict/candidates.py:_option": "the one builder of catalogue options",
}
"""Exceptions to the limits, each with its reason."""

COUNTS = frozenset(
    {
        # Numbers of things that the field names without a suffix.
        "requests", "protocols", "layers",
        "kv_heads", "head_size", "kv_latent_size", "total_parameters", "active_parameters",
        "sliding_window_layers", "gpus", "gpus_per_node", "nodes", "serving_nodes", "standby_nodes", "min_nodes",
        "rows_read", "rows_lost", "first_nodes", "stable_nodes", "island_count", "window_count", "index", "step",
        "day_segment", "min_units", "parameters", "record", "workers", "max_attempts", "least_requests",
        "max_connections", "waiting_rows", "seed",
        # Names and places by number.
        "port", "proxy_port", "priority", "request_id", "shift_id",
        # In the unit of what holds them, which their docstring says.
        "low", "likely", "high", "value", "incumbent_value", "candidate_value",
    }
)  # fmt: skip


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def _depth(node: ast.AST) -> int:
    blocks = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)
    deepest = 0
    for child in ast.iter_child_nodes(node):
        chained = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        deepest = max(deepest, _depth(child) + (isinstance(child, blocks) and not chained))
    return deepest


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_no_file_grows_past_what_one_can_hold_in_mind(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_functions_are_short_narrow_and_flat(path: Path) -> None:
    for node in _functions(path):
        name = f"{_relative(path)}:{node.name}"
        arguments = node.args
        width = len([*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])
        width -= any(a.arg in ("self", "cls") for a in arguments.args[:1])
        assert _code_lines(node) <= MAX_FUNCTION_LINES or name in LONG_FUNCTIONS, name
        assert width <= MAX_PARAMETERS or name in WIDE_FUNCTIONS, name
        assert _depth(node) <= MAX_NESTING, name


def test_every_exception_to_the_limits_is_still_needed() -> None:
    seen = {f"{_relative(path)}:{node.name}": node for path in SOURCES for node in _functions(path)}
    for name in LONG_FUNCTIONS:
        assert _code_lines(seen[name]) > MAX_FUNCTION_LINES, f"{name} is short again"
    for name in WIDE_FUNCTIONS:
        arguments = seen[name].args
        assert len([*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]) > MAX_PARAMETERS, name


FORBIDDEN_CALLS = frozenset(
    {
        "open", "print", "input", "eval", "exec", "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
        "time.time", "time.monotonic", "time.perf_counter", "np.random", "numpy.random", "random.random", "uuid.uuid4",
    }
)  # fmt: skip


@pytest.mark.parametrize("path", [p for p in SOURCES if _relative(p).startswith(PURE)], ids=_relative)
def test_pure_modules_call_nothing_that_reads_a_clock_a_file_or_chance(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used |= {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not {name for name in used if any(name == bad or name.startswith(f"{bad}.") for bad in FORBIDDEN_CALLS)}


def test_only_wiring_reads_the_clock() -> None:
    for path in SOURCES:
        names = {
            ast.unparse(n)
            for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(n, ast.Attribute)
        }
        if names & {"datetime.now", "date.today", "time.time", "time.monotonic"}:
            assert _relative(path).startswith("wiring/")


def _dataclasses() -> list[type]:
    found: list[type] = []
    for module in pkgutil.walk_packages([str(ROOT)], "breakeven."):
        if module.name.endswith("__main__"):
            continue
        loaded = importlib.import_module(module.name)
        found += [
            item
            for item in vars(loaded).values()
            if isinstance(item, type) and dataclasses.is_dataclass(item) and item.__module__ == module.name
        ]
    return found


@pytest.mark.parametrize("kind", _dataclasses(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_number_says_its_unit_in_its_name(kind: type) -> None:
    """Fields typed int, float, Decimal or Interval end in a suffix of the vocabulary, or count things."""
    for item in dataclasses.fields(kind):
        text = item.type if isinstance(item.type, str) else getattr(item.type, "__name__", str(item.type))
        numeric = set(text.replace(" ", "").split("|")) & {"int", "float", "Decimal", "Interval"}
        if numeric and item.name not in COUNTS:
            assert f"_{item.name}".endswith(tuple(UNIT_SUFFIXES)), f"{kind.__name__}.{item.name}: {text}"


def test_domain_types_are_frozen() -> None:
    for kind in _dataclasses():
        assert kind.__dataclass_params__.frozen, kind  # type: ignore[attr-defined]


HEAVY = (
    "ibis",
    "duckdb",
    "pyarrow",
    "numpy",
    "scipy",
    "pandas",
    "genai_prices",
    "altair",
    "pydantic",
    "yaml",
    "jinja2",
)


@pytest.mark.parametrize("code", ["import breakeven", "import breakeven.cli"])
def test_importing_loads_nothing_heavy(code: str) -> None:
    check = f"import sys; {code}; print([m for m in {HEAVY!r} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_an_interval_keeps_its_order() -> None:
    with pytest.raises(ValueError, match="low <= likely <= high"):
        Interval(low=2, likely=1, high=3)
    assert Interval(low=1, likely=2, high=4).map(lambda x: 1 / x) == Interval(low=0.25, likely=0.5, high=1)
    assert isinstance(Decimal(1) * 1, Decimal)
