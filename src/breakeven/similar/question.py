"""The question in a request: the text that ends it, and everything else, which must be equal byte for byte.

Read are chat completions and messages (https://platform.openai.com/docs/api-reference/chat/create,
https://docs.claude.com/en/api/messages).  Everything but the text of the last message is taken as it came: the model,
the system prompt, earlier turns, tools, a schema, what is said of sampling and of streaming.  Sorting or rounding any
of it could make two requests equal that are not.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

MOST_TEXT_BYTES: Final = 2000
"""Longest question, in UTF-8.  Many encoders read 512 tokens and no further, and two long passages that begin alike
would be one to them; nor is a question of that length often asked again."""


class Question(NamedTuple):
    """What is asked, and in what circumstances."""

    text: str
    rest: bytes
    """Equal where, and only where, all else in two requests is equal."""


def read_question(body: bytes) -> Question | None:
    """Return the question of a request; None where there is none that may be compared by meaning.

    That is so unless the last message is a user's and has text alone, not empty and of at most ``MOST_TEXT_BYTES``.
    """
    try:
        request = _decode_request(body)
        turns = _decode_turns(request.pop("messages"))
        last = _decode_turn(turns.pop())
        content = last.pop("content")
        if _decode_text(last["role"]) != "user":
            return None
        found = _decode_content(content)
        texts, others = ([found], []) if isinstance(found, str) else _parts(found)
    except (LookupError, *_UNREADABLE):
        return None
    text = "\n".join(texts)
    if not text.strip() or len(text.encode("utf-8", "surrogatepass")) > MOST_TEXT_BYTES:
        return None
    whole = b"s" if isinstance(found, str) else b"p"
    return Question(text, b"".join((whole, _dump(request), _list(turns), _dump(last), *map(_dump, others))))


_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_Fields = dict[str, msgspec.Raw]
_decode_request: Final = msgspec.json.Decoder(_Fields).decode
_decode_turn: Final = _decode_request
_decode_turns: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_content: Final = msgspec.json.Decoder(str | list[_Fields]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


def _parts(parts: list[_Fields]) -> tuple[list[str], list[_Fields]]:
    """Return the texts of a content's parts, and what else the parts say.  Raises ``KeyError`` where one is no text."""
    texts = []
    for part in parts:
        if _decode_text(part["type"]) != "text":
            raise KeyError("type")
        texts.append(_decode_text(part.pop("text")))
    return texts, parts


def _dump(fields: _Fields) -> bytes:
    """Return fields in the order of their names, each with its length, so that no two sets of them look the same."""
    return _list([piece for name in sorted(fields) for piece in (name.encode("utf-8", "surrogatepass"), fields[name])])


def _list(pieces: list[Any]) -> bytes:
    data = [bytes(piece) for piece in pieces]
    return b"".join((b"%d:" % len(data), *(b"%d:%b" % (len(piece), piece) for piece in data)))
