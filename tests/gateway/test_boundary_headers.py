"""Headers that mark a request and come more than once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway import answers, payloads
from gateway.gateway import running_gateway, settings, target
from gateway.scripted import scripted_upstream
from gateway.wire import chat_bytes

if TYPE_CHECKING:
    from pathlib import Path

REPEATED = {
    "nothing said after it": [b"x-breakeven-sensitivity: local-only", b"x-breakeven-sensitivity:"],
    "spelled in two ways": [b"x-breakeven-sensitivity: local-only", b"X-Breakeven-Sensitivity:"],
    "another tag after it": [b"x-breakeven-tags: data=patient", b"x-breakeven-tags: team=ward"],
}


@pytest.mark.parametrize("how", REPEATED)
def test_a_header_that_comes_again_takes_no_mark_away(tmp_path: Path, how: str) -> None:
    with scripted_upstream() as outside, scripted_upstream() as inside:
        for upstream in (outside, inside):
            upstream.script("p", answers.whole(payloads.completion()))
        targets = {
            "outside": target(outside.url("p")),
            "inside": target(inside.url("p"), sensitivities=["local-only"]),
        }
        configured = settings(targets, {"m": {"targets": ["outside", "inside"]}})
        configured["sensitivity_of_tags"] = {"data=patient": "local-only"}
        asked = chat_bytes({"model": "m", "messages": [{"role": "user", "content": "x"}]})
        with running_gateway(tmp_path, configured) as gateway, gateway.line() as line:
            line.send(asked.replace(b"\r\n\r\n", b"\r\n" + b"\r\n".join(REPEATED[how]) + b"\r\n\r\n", 1))
            assert line.reply().headers["x-breakeven-target"] == "inside"
        assert outside.connection_count == 0
