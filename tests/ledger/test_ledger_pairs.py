"""Pairs in the store: said again they are replaced, checks come in the order of writing, texts go in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from breakeven.errors import InputError
from breakeven.ledger.pairs import (
    EXACT,
    JUDGE,
    SERVED,
    Pair,
    PairCheck,
    Side,
    Which,
    forget_texts,
    keep,
    sealed_texts,
    stored_checks,
    stored_pairs,
)
from breakeven.ledger.sealing import Sealer, Words
from breakeven.ledger.store import connect

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of these tests
WORDS = Words(path="/v1/chat/completions", request="{}", incumbent="Bath", candidate="Wells")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    connect(path, create=True).close()
    return path


def side(request_id: int | None, failure: str = "") -> Side:
    known = None if failure else 7
    return Side(request_id, known, known, known, known, known, failure)


def pair(number: int, *, task: str = "sort", candidate: str = "small", at_us: int = 0) -> Pair:
    return Pair(
        request_id=number,
        candidate=candidate,
        incumbent="large",
        model="m",
        key="tests",
        task=task,
        tags="",
        at_us=at_us or number,
        of_incumbent=side(number),
        of_candidate=side(None, "http_500"),
        origin="shadow",
    )


def check(number: int, name: str, at_us: int, score: float = 0.5) -> PairCheck:
    return PairCheck(number, "small", name, "", 1.0, score, "", at_us)


def test_a_pair_comes_back_as_it_was_kept_and_said_again_it_is_replaced(store: Path) -> None:
    keep(store, [pair(32), pair(16)], [check(16, EXACT, 5)])
    assert stored_pairs(store) == [pair(16), pair(32)]
    again = pair(16)._replace(of_candidate=side(48))
    keep(store, [again])
    assert stored_pairs(store) == [again, pair(32)]


@pytest.mark.parametrize(
    ("which", "numbers"),
    [
        (Which(), [16, 32, 48]),
        (Which(tasks=("sort",)), [16, 48]),
        (Which(tasks=("sort", "date")), [16, 32, 48]),
        (Which(candidate="tiny"), [48]),
        (Which(model="other"), []),
        (Which(from_us=17, until_us=48), [32]),
        (Which(incumbent="large", key="tests", origin="shadow", candidate="small"), [16, 32]),
    ],
)
def test_only_pairs_that_are_asked_for_come(store: Path, which: Which, numbers: list[int]) -> None:
    keep(store, [pair(16), pair(32, task="date"), pair(48, candidate="tiny")])
    assert [found.request_id for found in stored_pairs(store, which)] == numbers


def test_pairs_with_nodes_of_a_pool_come_under_its_name_where_that_is_asked_for(store: Path) -> None:
    two_nodes = pair(80, candidate="own/b")._replace(incumbent="own/a")
    others = [pair(48, candidate="own/a"), pair(64, candidate="owned/a"), two_nodes, pair(96, candidate="own_/a")]
    keep(store, [pair(16), pair(32, candidate="own"), *others])
    numbers = [found.request_id for found in stored_pairs(store, Which(candidate="own", with_nodes=True))]
    assert numbers == [32, 48]
    assert [found.request_id for found in stored_pairs(store, Which(candidate="own"))] == [32]


def test_checks_come_in_the_order_of_writing_and_can_be_gone_on_from(store: Path) -> None:
    keep(store, [pair(16), pair(32, at_us=1)], [check(32, JUDGE, 7), check(32, SERVED, 7), check(16, JUDGE, 9, 0.25)])
    found = stored_checks(store, name=JUDGE)
    assert [(scored.check.request_id, scored.task, scored.check.difference) for scored in found] == [
        (32, "sort", -0.5),
        (16, "sort", -0.75),
    ]
    assert [scored.check.request_id for scored in stored_checks(store, name=JUDGE, after=(7, 32))] == [16]
    assert stored_checks(store, name=JUDGE, after=(9, 16)) == []
    assert len(stored_checks(store)) == 3


def test_texts_open_with_their_secret_alone_and_for_their_pair_alone(store: Path) -> None:
    sealer = Sealer(SECRET)
    keep(
        store, [pair(16), pair(32)], texts=[sealer.seal(number, "small", WORDS, 100.0 + number) for number in (16, 32)]
    )
    (first, second) = sealed_texts(store, Which(), now_s=50.0)
    assert Sealer(SECRET).open(first) == WORDS
    assert first.sealed != second.sealed
    for wrong in (first._replace(request_id=32), first._replace(sealed=first.sealed[:-1]), first._replace(sealed=b"")):
        with pytest.raises(InputError):
            sealer.open(wrong)
    assert sealed_texts(store, Which(), now_s=120.0) == [second]
    assert forget_texts(store, 120.0) == 1
    assert forget_texts(store, 120.0) == 0
    assert b"Bath" not in store.read_bytes()


def test_a_store_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ledger"):
        keep(tmp_path / "none.sqlite", [pair(16)])
    with pytest.raises(InputError, match="no ledger"):
        stored_pairs(tmp_path / "none.sqlite")
