"""A golden prompt: whether what a model says to it still is what it said when it was well."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec

ANSWER_TOKENS: Final = 24
BAD_ANSWERS: Final = 3
"""Bad answers in a row after which the engine counts as degraded: one may be a slip of rounding under load."""

_GOLDEN_CHARACTERS: Final = 12
"""An answer is compared in its beginning only: greedy choices that are close drift apart later, as batches change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """What is asked, and what a good answer has in it."""

    prompt: str
    expected: str | None
    """Text that a good answer holds; None: it begins as the first one did."""

    def mark(self, model: str) -> str:
        """Return what tells this question to that model from any other, so that answers are held against their own."""
        return sha256(msgspec.json.encode((self.prompt, self.expected, model))).hexdigest()[:16]

    def body(self, model: str) -> bytes:
        """Return the request: greedy, and short."""
        return msgspec.json.encode(
            {
                "model": model,
                "messages": [{"role": "user", "content": self.prompt}],
                "max_tokens": ANSWER_TOKENS,
                "temperature": 0,
                "seed": 0,
            }
        )


def is_good(golden: Golden, first: str, answer: str) -> bool:
    """Whether an answer is as good as it was: it holds what is expected, or begins as the first one."""
    if golden.expected is not None:
        return golden.expected in answer
    return beginning(answer) == beginning(first)


def beginning(answer: str) -> str:
    """Return the part of an answer that is compared."""
    return answer[:_GOLDEN_CHARACTERS]


def text_of(answer: bytes) -> str | None:
    """Return the text of a chat completion; None where it holds none."""
    try:
        said: Any = msgspec.json.decode(answer)
        text = said["choices"][0]["message"]["content"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError):
        return None
    return text if isinstance(text, str) else None
