"""Lines of an input file that are none, told in words."""

from __future__ import annotations

import json

import pytest

from breakeven.batches.lines import WrongLineError, read_line

CHAT = "/v1/chat/completions"
GOOD = json.dumps(
    {"custom_id": "a", "method": "POST", "url": CHAT, "body": {"model": "m", "user": "é"}}, ensure_ascii=False
)


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"[1]\n", "invalid_request", "should be an object"),
        (b"null", "invalid_request", "should be an object"),
        (b'"a"', "invalid_request", "should be an object"),
        (GOOD.encode("latin-1"), "invalid_json_line", "it is not UTF-8"),
        (GOOD.encode("utf-8-sig"), "invalid_json_line", "a byte order mark"),
        (b"{nonsense", "invalid_json_line", "not parseable as valid JSON."),
    ],
)
def test_what_is_wrong_is_said_as_it_is(content: bytes, code: str, said: str) -> None:
    with pytest.raises(WrongLineError, match=said) as refused:
        read_line(content, CHAT)
    assert refused.value.code == code


def test_a_good_line_is_read() -> None:
    assert read_line(GOOD.encode(), CHAT).custom_id == "a"
