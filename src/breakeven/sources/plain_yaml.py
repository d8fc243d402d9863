"""The part of YAML that a file of settings needs: mappings, lists, text, numbers, true and false.

Anchors, aliases, merge keys and tags are refused: a few lines of aliases can expand to gigabytes, and no
page of settings needs them.  Values read as in YAML 1.2, which editors and the JSON Schema use too: 1.1 takes
the time ``16:30`` for the number 990, the country ``no`` for false and ``010`` for eight.  Dates stay text
until the type of their key is known.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML built without libyaml: the same language, ten times slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

MAX_DEPTH: Final = 32
"""Levels of nesting; the deepest catalogue file has 5."""

MAX_VALUES: Final = 100_000
"""Keys and values in one file; the largest catalogue file has 6,000."""

MAX_DIGITS: Final = 40


class PlainLoader(_Loader):
    """Reads plain YAML.  Raises ``yaml.YAMLError`` with the place of what it refuses."""


def load(text: str) -> tuple[yaml.Node | None, Any]:
    """Return the document's tree, which knows its lines, and its value; None twice for an empty text."""
    _refuse_more_than_plain(text)
    loader = PlainLoader(text)
    node = loader.get_single_node()
    return node, None if node is None else loader.construct_document(node)


def _refuse_more_than_plain(text: str) -> None:
    """Look at the events one by one, before any of them takes memory or stack."""
    depth = values = 0
    for event in yaml.parse(text, Loader=PlainLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if not isinstance(event, yaml.NodeEvent):
            continue
        values += 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refused(event, "anchors (&) and aliases (*) are not read; write the value out, or quote the text")
        if getattr(event, "tag", None) is not None:
            raise _refused(event, "tags (!) are not read; leave the tag out, or quote the text")
        if values > MAX_VALUES:
            raise _refused(event, f"it holds more than {MAX_VALUES:,} values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _refused(event, f"it is nested more than {MAX_DEPTH} levels deep")


def _refused(event: yaml.Event, why: str) -> yaml.YAMLError:
    mark: Any = event.start_mark  # libyaml's marks are of a class of their own
    return yaml.MarkedYAMLError(problem=why, problem_mark=mark)


def _integer(loader: PlainLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    if len(text) > MAX_DIGITS:
        raise yaml.MarkedYAMLError(problem=f"a number of {len(text)} digits", problem_mark=node.start_mark)
    return int(text)


_PLAIN: Final = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9][0-9_]*", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
)
PlainLoader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in _PLAIN:
    PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), _first)
PlainLoader.add_constructor("tag:yaml.org,2002:int", _integer)
