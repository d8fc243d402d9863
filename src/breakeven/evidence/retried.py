"""Whether a question was asked again: a sign that the answer before did not serve, and nothing more than a sign.

Within an episode a question that is nearly the same counts; without one only the very same of the same key and user
does, for requests of one key resemble each other by their template.  Kept are hashes of a question, never its text.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

import msgspec

from breakeven.evidence.sameness import normal_text

if TYPE_CHECKING:
    from collections.abc import Iterable

WITHIN_S: Final = 600.0
ALIKE_FRACTION: Final = 0.7
"""Share of the pairs of words that two questions have in common (Jaccard), from which on they are nearly the same."""

MOST_OWNERS_COUNT: Final = 10_000
"""Episodes, or keys with a user, that are remembered: the least recently heard of goes first."""

_MOST_QUESTIONS_COUNT: Final = 8
_MOST_RUNS_COUNT: Final = 128
_WORDS_COUNT: Final = 2
_MOST_CHARACTERS_COUNT: Final = 8000
_FIGURE: Final = re.compile(r"\d+(?:[.,:/-]\d+)*")
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Sketch(NamedTuple):
    """A question as it is remembered."""

    whole: int
    figures: int
    runs: frozenset[int]
    """The smallest hashes of its pairs of words."""


class _Seen(NamedTuple):
    at_s: float
    request_id: int
    sketch: Sketch


def question_text(body: bytes) -> str:
    """Return the text of the last message that a request's user wrote; empty where there is none.

    Of chat completions and messages, of a response's ``input``, of a completion's ``prompt``.
    """
    try:
        request = _decode(body)
        turns = request.get("messages", request.get("input", request.get("prompt")))
    except _UNREADABLE:
        return ""
    if isinstance(turns, str):
        return turns
    if not isinstance(turns, list):
        return ""
    last = next((turn for turn in reversed(turns) if isinstance(turn, dict) and turn.get("role") == "user"), {})
    content = last.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def sketch_of(text: str) -> Sketch | None:
    """Return what is remembered of a question; None of an empty one."""
    words = normal_text(text[:_MOST_CHARACTERS_COUNT]).split()
    if not words:
        return None
    runs = {" ".join(words[place : place + _WORDS_COUNT]) for place in range(max(len(words) - _WORDS_COUNT + 1, 1))}
    return Sketch(
        whole=_hash(words),
        figures=_hash(sorted(_FIGURE.findall(" ".join(words)))),
        runs=frozenset(sorted(crc32(run.encode("utf-8", "surrogatepass")) for run in runs)[:_MOST_RUNS_COUNT]),
    )


def nearly_same(one: Sketch, other: Sketch) -> bool:
    """Whether two questions are the same, or nearly: the same figures, and most pairs of words in common.

    From the smallest hashes of both together (bottom-k sketch, Broder 1997): exact below 128 pairs of words.
    """
    if one.whole == other.whole:
        return True
    if one.figures != other.figures:
        return False
    smallest = sorted(one.runs | other.runs)[:_MOST_RUNS_COUNT]
    both = sum(1 for run in smallest if run in one.runs and run in other.runs)
    return both >= ALIKE_FRACTION * len(smallest)


class RecentQuestions:
    """The questions of the last minutes, by whose they are; bounded."""

    def __init__(self, *, within_s: float = WITHIN_S) -> None:
        """``within_s``: how long after a question another one is taken for its repetition."""
        self._within_s = within_s
        self._by_owner: OrderedDict[str, deque[_Seen]] = OrderedDict()

    def asked(self, request_id: int, text: str, *, episode: str, owner: str, now_s: float) -> int | None:
        """Note a question; return the id of the request that it repeats, if it does.

        ``episode``: empty if there is none; ``owner``: key and user.
        """
        sketch = sketch_of(text)
        if sketch is None:
            return None
        name = f"e{owner}\0{episode}" if episode else f"o{owner}"
        seen = self._by_owner.setdefault(name, deque(maxlen=_MOST_QUESTIONS_COUNT))
        self._by_owner.move_to_end(name)
        while seen and seen[0].at_s < now_s - self._within_s:
            seen.popleft()
        before = next((item for item in reversed(seen) if _repeats(sketch, item.sketch, near=bool(episode))), None)
        seen.append(_Seen(now_s, request_id, sketch))
        if len(self._by_owner) > MOST_OWNERS_COUNT:
            self._by_owner.popitem(last=False)
        return before.request_id if before is not None else None


def _repeats(sketch: Sketch, before: Sketch, *, near: bool) -> bool:
    return nearly_same(sketch, before) if near else sketch.whole == before.whole


def _hash(words: Iterable[str]) -> int:
    return int.from_bytes(blake2b(" ".join(words).encode("utf-8", "surrogatepass"), digest_size=8).digest())
