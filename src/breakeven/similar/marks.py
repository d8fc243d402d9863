"""What must be equal for two questions to be taken as the same, whatever their vectors say.

Vectors tell what a text is about and hardly what it says of it: "turn dark mode on" and "off" lie closer than most
paraphrases (https://github.com/vllm-project/semantic-router/issues/2691), and a question and its exact reversal score
0.83 to 0.9997 with nine encoders (https://github.com/zilliztech/GPTCache/issues/694).  So these words count, in the
order in which they stand: numbers with their sign and unit and the word after them; negations; words that turn a
question round (on/off, before/after, more/less); quoted texts; addresses, paths, flags and whatever else looks like
code; words with a capital letter but for the first of the text; and every word in a script without capitals, in which
names cannot be told, so that questions there are the same only if their words are.  Besides, two questions that have
the same words in another order are not the same.

What this cannot see: names in small letters, and a name that is the first word; a reversal in other words ("does A own
B" and "is A owned by B"); negations and opposites in languages other than English, but for the commonest negations of
German, French, Spanish, Italian, Portuguese, Russian and Polish; opposites that nobody listed; what "it" refers to.
A word that is marked without need costs a hit and no more.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

from breakeven.similar.words import DENYING, TURNING, TURNING_STEMS


class Marks(NamedTuple):
    """What of a question is compared word by word."""

    told: tuple[str, ...]
    """Those that count, in their order; equal in questions that are the same."""

    words: tuple[str, ...]
    """All words in small letters: not the same set in another order in questions that are the same."""


def read_marks(text: str) -> Marks:
    """Return the marks of a question."""
    text = unicodedata.normalize("NFC", text).replace("\u2019", "'")
    told = [quoted.strip() for found in _QUOTED.findall(text) for quoted in found if quoted.strip()]
    tokens = [token for token in map(_bare, text.split()) if token]
    counted = False
    for index, token in enumerate(tokens):
        has_number = any(map(str.isnumeric, token))
        if counted or has_number or _stands_out(token, first=index == 0):
            told.append(token.casefold() if counted and not has_number else token)
        else:
            told += _turns(token.casefold())
        counted = token[-1].isnumeric()
    return Marks(tuple(told), tuple(token.casefold() for token in tokens))


_QUOTED: Final = re.compile(r"\"([^\"]+)\"|`+([^`]+)`+|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»|(?<!\w)'([^']+)'(?!\w)")
_OPENING: Final = "([{<\"'`“„«¿¡*_"
_CLOSING: Final = ".,;:!?…)]}>\"'`”“»*_。、，？！"
_PLAIN: Final = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*'?")
_PRONOUN: Final = re.compile(r"I(?:'\w+)?")

_UNDOING: Final = re.compile(r"(?:un(?!der|it|iv|ion|iq|cle|til)|non|dis(?!c|k|tan|tri|pl|ea|h)|anti)\w{3,}|\w{3,}less")
_NO_SIGNS: Final = frozenset("-–—.,;:!?…\"'`()[]{}<>«»“”„•·")
"""A word of these alone joins or ends sentences, unless it compares."""

_COMPARING: Final = frozenset(("<", ">"))


def _bare(token: str) -> str:
    """Return a word without the brackets, quotes and ends of sentences around it; empty where nothing else is there."""
    bare = token.lstrip(_OPENING).rstrip(_CLOSING).removesuffix("'s")
    return bare or ("" if _NO_SIGNS.issuperset(token) and token not in _COMPARING else token)


def _stands_out(token: str, *, first: bool) -> bool:
    """Whether a word counts for the way in which it is written."""
    if not _PLAIN.fullmatch(token):
        return not _NO_SIGNS.issuperset(token) or token in _COMPARING
    if token.lower() == token.upper():
        return True
    return any(map(str.isupper, token[1:] if first else token)) and not _PRONOUN.fullmatch(token)


def _turns(word: str) -> list[str]:
    """Return the parts of a word that deny or turn round, inflected ones by what they have in common."""
    found = []
    if word.endswith("n't"):
        return ["not"]
    for part in word.replace("'", "-").split("-"):
        if part in DENYING or part in TURNING or _UNDOING.fullmatch(part):
            found.append(part)
        elif part.startswith(TURNING_STEMS):
            found.append(next(stem for stem in TURNING_STEMS if part.startswith(stem)))
    return found
