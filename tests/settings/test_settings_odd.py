"""Whatever stands in ``breakeven.yaml``: it is refused in words, or becomes a snapshot, and no secret is repeated."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from breakeven.errors import InputError
from breakeven.settings import read_settings
from breakeven.wiring.snapshot import build_snapshot
from settings.files import DIGEST, DOCS, ENVIRONMENT, SECRET

if TYPE_CHECKING:
    from pathlib import Path

BASE: dict[str, Any] = {
    "listen": {"host": "127.0.0.1", "port": 9400},
    "workers": 1,
    "targets": {
        "openai": {
            "url": "https://api.openai.com/v1",
            "key": "env:OPENAI_API_KEY",
            "headers": {"x-team": "a", "x-token": "env:OPENAI_API_KEY"},
            "timeouts": {"connect_s": 5, "total_s": 900},
            "proxy": {"url": "http://p:3128", "user": "me", "password": "env:OPENAI_API_KEY"},
        },
        "pool": {"url": "http://127.0.0.1:8000/v1", "model": "m", "sensitivities": ["public"]},
        "azure": {
            "provider": "azure",
            "at": {"resource": "res"},
            "key": "env:OPENAI_API_KEY",
            "key_header": "api-key",
            "protocols": ["chat", "responses"],
            "prefill": "none",
        },
    },
    "models": {
        "fast": {"targets": ["pool", {"target": "openai", "weight": 2}], "policy": "weighted"},
        "*": {"targets": ["openai"]},
    },
    "keys": [{"name": "a", "sha256": DIGEST, "models": ["fast"], "tags": "t=1", "expires": "2030-01-01"}],
    "limits": {"header_bytes": 32768},
    "ledger": {"folder": "d", "on_full": "drop"},
}
"""Everything on; what the fuzzing starts from."""


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", "*", "env:", "env:NONE", "file:", "file:..", "file:\0", "a\r\nb: c", "http://", "http://[", "\ud800x"]
    ),
    st.sampled_from(["https://h:99999", "http://a@b", "//", "é", "http://é.example", "[::1]", "2030-02-31", "\0", "~"]),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.one_of(st.text(max_size=5), st.none(), st.integers()), max_size=3),
)


def _places(data: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place, *(found for key, value in items for found in _places(value, (*place, key)))]


PLACES = [place for place in _places(BASE) if place]


def _put(data: Any, place: tuple[Any, ...], value: Any) -> None:
    """Put a value at a place; where an earlier change took the place away, do nothing."""
    with contextlib.suppress(KeyError, IndexError, TypeError):
        for key in place[:-1]:
            data = data[key]
        data[place[-1]] = value


def _try(content: bytes, folder: Path) -> None:
    """Read a file that may be anything: it is refused in words, or becomes a snapshot that can be sent."""
    path = folder / "fuzzed.yaml"
    path.write_bytes(content)
    try:
        settings = read_settings(path, environment=ENVIRONMENT)
    except InputError as error:
        assert SECRET not in str(error)  # noqa: PT017 - it may also be no error
        return
    assert SECRET not in repr(settings)
    for target in build_snapshot(settings).targets:
        head = "".join(f"{name}: {value}" for name, value in target.headers) + target.base_path + target.host_header
        assert head.isprintable()
        assert head.isascii()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def test_what_the_fuzzing_starts_from_is_right(folder: Path) -> None:
    (folder / "base.yaml").write_text(json.dumps(BASE), encoding="utf-8")
    assert read_settings(folder / "base.yaml", environment=ENVIRONMENT).file.keys[0].name == "a"


@hypothesis_settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=4))
def test_whatever_stands_in_a_place_the_answer_is_words_or_a_snapshot(
    changes: list[tuple[tuple[Any, ...], Any]], folder: Path
) -> None:
    data = copy.deepcopy(BASE)
    for place, value in changes:
        _put(data, place, value)
    _try(json.dumps(data).encode(), folder)


MAY_HOLD = ("url", "at", "key", "key_header", "prefill", "headers", "proxy", "sha256", "timeouts")


SECRET_PLACES = [
    place
    for place in PLACES
    if place[0] in ("targets", "keys")
    and (
        len(place) < 3
        or place[2] in ("url", "at", "key", "key_header", "prefill", "headers", "proxy", "sha256", "timeouts")
    )
]


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    place=st.sampled_from(SECRET_PLACES),
    form=st.sampled_from(["{}", "https://u:{}@h", "env:{}", "Bearer {}", "http://{}"]),
    inside=st.sampled_from([lambda text: text, lambda text: [text], lambda text: {"x": text}]),
)
def test_a_secret_in_the_wrong_place_is_never_repeated(
    place: tuple[Any, ...], form: str, inside: Any, folder: Path
) -> None:
    data = copy.deepcopy(BASE)
    _put(data, place, inside(form.format(SECRET)))
    path = folder / "secret.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    try:
        settings = read_settings(path, environment={"OPENAI_API_KEY": "other"})
    except InputError as error:
        assert SECRET.lower() not in str(error).lower()  # noqa: PT017 - it may also be no error
    else:
        assert all(secret.reveal() == "other" for secret in settings.secrets.values())


TEXT = (DOCS / "examples" / "breakeven.yaml").read_text(encoding="utf-8")


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    cut=st.tuples(st.integers(0, len(TEXT)), st.integers(0, 60)),
    put=st.one_of(
        st.binary(max_size=30), st.sampled_from([b"\n", b": ", b"- ", b"{", b"]", b"&a ", b"*a", b"!!x ", b"\t"])
    ),
)
def test_whatever_a_file_holds_the_answer_is_words_or_a_snapshot(
    cut: tuple[int, int], put: bytes, folder: Path
) -> None:
    _try(TEXT[: cut[0]].encode() + put + TEXT[sum(cut) :].encode(), folder)
