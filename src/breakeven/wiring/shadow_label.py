"""Pairs for people to label, and their labels: out as JSON lines with both answers in an order that tells nothing."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from breakeven.errors import InputError, Problem
from breakeven.ledger.ids import pair_name, pair_number
from breakeven.ledger.pairs import HUMAN, PairCheck, Which, keep, sealed_texts, stored_checks, stored_pairs
from breakeven.ledger.sealing import Sealer
from breakeven.settings.one_secret import read_secret
from breakeven.trials.judging import question_of
from breakeven.wiring.clock import current_s

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from breakeven.ledger.pairs import Pair
    from breakeven.ledger.sealing import Words
    from breakeven.wiring.ledger import LedgerPlace

_MOST_PROBLEMS: Final = 20
_MOST_LINE_BYTES: Final = 32 << 20
_SCORES: Final = {"a": (1.0, 0.0), "b": (0.0, 1.0), "tie": (0.5, 0.5)}


class Labelled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line: what people are shown, and what they say in ``better``."""

    pair: str
    candidate: str
    task: str = ""
    request: str = ""
    a: str = ""
    b: str = ""
    better: str | None = None
    """``A``, ``B`` or ``tie``."""

    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written for people."""

    written_count: int
    without_text_count: int
    """Pairs of which no text is kept, or not any more."""

    labelled_count: int
    """Pairs that people have judged already."""


def write_pairs(place: LedgerPlace, which: Which, path: Path, *, secret: str, most_count: int, seed: int) -> Written:
    """Write pairs that nobody has labelled, drawn by chance, to a file that only its owner may read.

    Drawn by chance, so that what people say of them holds for all.  Raises ``InputError`` where no text is kept, the
    secret is another, or the file is there already.
    """
    sealer = Sealer(read_secret(secret, "--text-key"))
    texts = sealed_texts(place.store, which, current_s())
    pairs = {(pair.request_id, pair.candidate): pair for pair in stored_pairs(place.store, which)}
    done = {(found.check.request_id, found.check.candidate) for found in stored_checks(place.store, which, HUMAN)}
    left = sorted(
        (text for text in texts if (text.request_id, text.candidate) not in done),
        key=lambda text: _digest(text.request_id, text.candidate, f"drawn {seed}"),
    )
    if not left:
        raise InputError(
            f"There is no pair to label: of {len(pairs):,} pairs {len(texts):,} have texts, and {len(done):,} are "
            "labelled. Texts are kept where trials: keep_text: or --keep-text of a replay says so."
        )
    lines = [_line(pairs[text.request_id, text.candidate], sealer.open(text)) for text in left[:most_count]]
    _write_new(path, b"".join(line + b"\n" for line in lines))
    return Written(written_count=len(lines), without_text_count=len(pairs) - len(texts), labelled_count=len(done))


def read_labels(place: LedgerPlace, path: Path) -> int:
    """Take what people said and return of how many pairs; lines without a word are passed over.

    Said again, the newer word holds.  Raises ``InputError`` with every line that cannot be taken; then none is.
    """
    known = {(pair.request_id, pair.candidate): pair for pair in stored_pairs(place.store)}
    now_us = int(current_s() * 1e6)
    checks: dict[tuple[int, str], PairCheck] = {}
    problems: list[Problem] = []
    for where, line in _lines(path):
        found = _label(line, where, known, now_us)
        if isinstance(found, Problem):
            problems.append(found)
        elif found is not None:
            checks[found.request_id, found.candidate] = found
    if problems:
        more = f" ({len(problems) - _MOST_PROBLEMS:,} more)" if len(problems) > _MOST_PROBLEMS else ""
        raise InputError(f"{path}: no label was taken.{more}", tuple(problems[:_MOST_PROBLEMS]))
    keep(place.store, checks=list(checks.values()))
    return len(checks)


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the place and the content of each line that has any."""
    try:
        with path.open("rb") as lines:
            numbered = enumerate(iter(lambda: lines.readline(_MOST_LINE_BYTES), b""), 1)
            yield from ((f"{path.name}:{number}", line) for number, line in numbered if line.strip())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def _line(pair: Pair, words: Words) -> bytes:
    a, b = (words.candidate, words.incumbent) if _is_swapped(pair) else (words.incumbent, words.candidate)
    asked = question_of(words.request.encode()) or words.request
    return msgspec.json.encode(
        Labelled(
            pair=pair_name(pair.request_id),
            candidate=pair.candidate,
            task=pair.task,
            request=asked,
            a=a,
            b=b,
            better="",
        )
    )


def _label(line: bytes, where: str, known: dict[tuple[int, str], Pair], now_us: int) -> PairCheck | Problem | None:
    try:
        said = msgspec.json.decode(line, type=Labelled)
        number = pair_number(said.pair)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return Problem(where=where, what=f"not a line of breakeven shadow label: {error}.")
    word = (said.better or "").strip().lower()
    if not word:
        return None
    if word not in _SCORES:
        return Problem(where=where, what=f'"better" is {said.better!r}.', fix="Write A, B or tie.")
    pair = known.get((number, said.candidate))
    if pair is None:
        return Problem(where=where, what=f"the ledger has no pair {said.pair} with {said.candidate[:80]}.")
    first, second = _SCORES[word]
    incumbent, candidate = (second, first) if _is_swapped(pair) else (first, second)
    return PairCheck(number, pair.candidate, HUMAN, "", incumbent, candidate, said.comment[:400], now_us)


def _is_swapped(pair: Pair) -> bool:
    """Whether A is the candidate: by the toss of a coin that falls the same each time."""
    return bool(_digest(pair.request_id, pair.candidate, "order")[0] & 1)


def _digest(number: int, candidate: str, what: str) -> bytes:
    return hashlib.sha256(f"{what}\0{number}\0{candidate}".encode()).digest()


def _write_new(path: Path, content: bytes) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
    except FileExistsError as error:
        raise InputError(f"{path} is there already: labels in it would be lost. Name another file.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
