"""Files that people write, and files that nobody should: every problem at once, with file, line and key."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.catalog.hardware import Gpu
from breakeven.catalog.models import OpenModel
from breakeven.errors import InputError
from breakeven.sources.rate_cards import RateCardFile
from breakeven.sources.scenario import Scenario
from breakeven.sources.shape import keys_at
from breakeven.sources.yaml_file import MAX_PROBLEMS, MAX_YAML_BYTES, check, check_rows, parse_yaml, read_yaml

if TYPE_CHECKING:
    from pathlib import Path


def _refused(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("3_600_000_000", 3_600_000_000),
        ("010", 10),
        ("3e9", 3e9),
        ("1.5e-3", 0.0015),
        (".5", 0.5),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("16:30", "16:30"),
        ("2026-11-21", "2026-11-21"),
        ("null", None),
        ("~", None),
        ("", None),
        ("0x10", "0x10"),
        ("1.2.3", "1.2.3"),
        ("'7'", "7"),
        ("-", [None]),
        ("=", "="),
    ],
)
def test_values_read_as_in_yaml_1_2_and_dates_and_times_stay_text(text: str, value: object) -> None:
    assert parse_yaml(text, "f.yaml").data == value


def test_every_key_and_item_knows_its_line() -> None:
    document = parse_yaml("a:\n  - b: 1\n    c:\n      - 2\n", "f.yaml")
    assert document.where(("a",)) == "f.yaml:1 a"
    assert document.where(("a", 0, "b")) == "f.yaml:2 a.0.b"
    assert document.where(("a", 0, "c", 0)) == "f.yaml:4 a.0.c.0"
    assert document.where(("a", 0, "missing")) == "f.yaml:2 a.0.missing"
    assert document.where(("nowhere",)) == "f.yaml:1 nowhere"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "f.yaml:2: this cannot be read as YAML: did not find expected ',' or ']'."),
        ("a: 1\n b: 2", "f.yaml:2: this cannot be read as YAML: mapping values are not allowed in this context."),
        ("a\n---\nb", "f.yaml:2: this cannot be read as YAML: but found another document."),
        ("[a]: 1", "f.yaml:1: this cannot be read as YAML: found unhashable key."),
        ("a: 1\nb: !!python/object:os.system x", "f.yaml:2: this cannot be read as YAML: tags (!) are not read"),
        ("!!bool maybe", "f.yaml:1: this cannot be read as YAML: tags (!) are not read"),
        ("!!timestamp never", "f.yaml:1: this cannot be read as YAML: tags (!) are not read"),
        ("a: &x 1", "f.yaml:1: this cannot be read as YAML: anchors (&) and aliases (*) are not read"),
        ("a: *x", "f.yaml:1: this cannot be read as YAML: anchors (&) and aliases (*) are not read"),
        ("a: 1\nb: " + "9" * 50, "f.yaml:2: this cannot be read as YAML: a number of 50 digits."),
        ("a: \x07", "f.yaml"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    assert _refused(text).startswith(message)


LAUGHS = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "\n".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)
)
BOMBS = {
    "a billion laughs": LAUGHS,
    "a mapping in itself": "a: &a\n  b: *a\n",
    "merge keys": "a: &a {x: 1}\nb:\n  <<: *a\n",
    "deep lists": "[" * 100_000,
    "deep mappings": "{a: " * 100_000,
    "deep by indentation": "\n".join(" " * n + "a:" for n in range(1_000)),
    "deep dashes": "- " * 100_000,
    "many values": "[" + "1," * 400_000 + "]",
    "a long number": "9" * 900_000,
    "a long key": "? " + "a" * 500_000 + "\n: 1\nb: [",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_quickly_and_in_little_memory(bomb: str) -> None:
    tracemalloc.start()
    began = time.process_time()
    try:
        message = _refused(BOMBS[bomb])
        took_s, peak_bytes = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert took_s < 2
    assert peak_bytes < 50_000_000
    assert len(message) < 1_000


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert parse_yaml("<<: {a: 1}", "f.yaml").data == {"<<": {"a": 1}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00" * 10, "f.yaml: this cannot be read as YAML: "),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "is not UTF-8 text (byte 0): it should be YAML."),
        ("a: ä".encode("latin-1"), "is not UTF-8 text (byte 3): it should be YAML."),
        (b"a: 1\n" * 2_000_000, f"is larger than {MAX_YAML_BYTES:,} bytes: that is not a file of settings."),
    ],
    ids=["zeros", "an image", "latin-1", "ten megabytes"],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert message in str(caught.value)


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(InputError, match="cannot be read"):
            read_yaml(path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert read_yaml(path).data == {"name": "x"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    size: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    name: str
    parts: tuple[Part, ...] = ()


def _rows(text: str) -> str:
    with pytest.raises(InputError) as caught:
        check_rows(parse_yaml(text, "f.yaml"), Whole)
    return str(caught.value)


def test_rows_become_frozen_dataclasses() -> None:
    rows = check_rows(parse_yaml("- name: a\n  parts: [{size: 1}]\n- name: b", "f.yaml"), Whole)
    assert rows == (Whole(name="a", parts=(Part(size=1.0),)), Whole(name="b"))


def test_every_problem_is_told_at_once_with_its_line_and_key() -> None:
    text = "- nam: a\n- name: [b]\n  parts:\n    - {size: x, sise: 2}\n- name: c\n  name: d\n- 7\n"
    assert _rows(text).splitlines() == [
        "f.yaml has 7 problem(s):",
        "  f.yaml:1 0.nam: unknown key 'nam'. Did you mean 'name'?",
        "  f.yaml:4 1.parts.0.sise: unknown key 'sise'. Did you mean 'size'?",
        "  f.yaml:6 2.name: the key 'name' stands twice (first in line 5); only one can hold.",
        "  f.yaml:1 0.name: the key 'name' is missing.",
        "  f.yaml:2 1.name: Input should be a valid string.",
        "  f.yaml:4 1.parts.0.size: Input should be a valid number, unable to parse string as a number (given: 'x').",
        "  f.yaml:7 3: this should be a mapping of keys to values (given: 7).",
    ]


def test_rows_that_are_no_list_are_refused() -> None:
    assert _rows("name: a") == "f.yaml: this should be a list of entries, one '- ' each."


def test_a_hopeless_file_lists_a_hundred_problems_and_counts_the_others() -> None:
    message = _rows("- 1\n" * 5_000)
    assert message.startswith(f"f.yaml has 5000 problem(s), of which {MAX_PROBLEMS} are listed:")
    assert len(message.splitlines()) == MAX_PROBLEMS + 1


def test_control_characters_of_a_key_do_not_reach_the_terminal() -> None:
    message = _rows('- "\\e[31mred": 1\n  name: a\n')
    assert "\x1b" not in message
    assert "\\x1b[31mred" in message


@pytest.mark.parametrize(
    ("kind", "place", "some"),
    [
        (Scenario, (), {"today", "traffic", "pools"}),
        (Scenario, ("traffic",), {"input_tokens_per_month"}),
        (Scenario, ("pools", 0), {"gpu", "purchase"}),
        (Scenario, ("pools", 0, "throughput"), {"isl_tokens"}),
        (Scenario, ("assumptions", "pue_ratio"), {"low", "likely", "high"}),
        (RateCardFile, ("rate_cards", 3, "prices", 1, "tiers", 0), {"over_tokens"}),
        (list[OpenModel], (0, "quality", 2), {"benchmark"}),
        (dict[str, Gpu | None], ("x",), {"tdp_w"}),
    ],
)
def test_the_keys_allowed_at_a_place_are_known_inside_lists_too(kind: Any, place: Any, some: set[str]) -> None:
    assert some <= keys_at(kind, place)


@pytest.mark.parametrize("place", [("assumptions",), ("name",), ("pools",), ("nothing", 0), (0,), ("traffic", 0)])
def test_no_keys_are_named_where_any_or_none_is_allowed(place: Any) -> None:
    assert keys_at(Scenario, place) == frozenset()


texts = st.text(max_size=12)
scalars = st.one_of(
    texts,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from(["60%", "2026-11-21", "16:30", "1e999", ".nan", "-.inf", "openai:gpt-4o", "\\ud800", "&a", "*a"]),
)
known_keys = st.sampled_from(
    sorted(
        keys_at(Scenario, ())
        | keys_at(Scenario, ("pools", 0))
        | keys_at(Scenario, ("traffic",))
        | keys_at(RateCardFile, ())
        | keys_at(RateCardFile, ("rate_cards", 0))
        | keys_at(RateCardFile, ("rate_cards", 0, "prices", 0))
        | keys_at(Scenario, ("assumptions", "x"))
    )
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(known_keys | texts | scalars, inner, max_size=5),
    max_leaves=15,
)


def _written(value: Any) -> str:
    """Write a value in the flow style, without care for what needs quotes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_written(key)}: {_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_written(item) for item in value) + "]"
    return str(value)


def _checked(text: str) -> None:
    for kind in (Scenario, RateCardFile, list[OpenModel]):
        try:
            check(parse_yaml(text, "f.yaml"), kind)
        except InputError as error:
            assert str(error)  # noqa: PT017 - many documents are valid


@settings(max_examples=300, deadline=None)
@given(documents)
def test_no_document_raises_anything_but_an_input_error(value: object) -> None:
    _checked(_written(value))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}#&*!|>'\"%@`?,~0.\n\t \\<="), max_size=60))
def test_no_punctuation_raises_anything_but_an_input_error(text: str) -> None:
    _checked(text)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_an_input_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    try:
        read_yaml(path)
    except InputError as error:
        assert str(error)  # noqa: PT017 - some bytes are YAML
