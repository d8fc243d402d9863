"""``breakeven profile`` says what a log holds, without a price."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from breakeven.cli import app
from breakeven.errors import InputError

FIXTURES: Final = Path(__file__).parent / "traffic" / "fixtures"


def _profile(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["profile", *map(str, arguments)])
    assert done.exit_code == 0, done.stderr
    return " ".join(done.stdout.split())


def test_where_tokens_go_and_what_repeats_is_said_where_the_log_shows_it() -> None:
    printed = _profile(FIXTURES / "langfuse" / "api_page.json", "--tolerate", "1")
    assert "4 requests; 3K input and 150 output tokens (20.00 : 1), 1.5K of them read from a cache" in printed
    assert "input tokens went to: system prompt 30%, history 20%, fresh 50% (of 3K whose parts are stated)" in printed
    assert "repeated prompts: 25% of the requests came before" in printed
    assert "gpt-4o-mini: 4 requests, 3K input and 150 output tokens" in printed
    assert "observations skipped, being no generation" in printed


def test_prefixes_are_said_by_the_life_of_a_cache() -> None:
    printed = _profile(FIXTURES / "mooncake" / "bailian.jsonl")
    assert "began an earlier prompt too: 39% ever, 39% within an hour, 39% within five minutes" in printed


def test_what_a_log_is_silent_on_is_not_named() -> None:
    printed = _profile(FIXTURES / "azure" / "conv_2023.csv")
    for word in ("growth", "repeated", "batch", "went to", "retries", "Models"):
        assert word not in printed


def test_totals_without_counts_are_no_zero_requests() -> None:
    printed = _profile(FIXTURES / "anthropic_usage" / "messages.json")
    assert "4 windows of totals, requests not counted" in printed
    assert "0 requests" not in printed


def test_json_has_the_whole_profile_with_its_notes() -> None:
    done = CliRunner().invoke(app, ["profile", str(FIXTURES / "mooncake" / "bailian.jsonl"), "--json"])
    printed = json.loads(done.stdout)
    assert printed["profile"]["reuse"]["prefix_fraction"] == pytest.approx(0.39, abs=0.01)
    assert printed["notes"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "There is no traffic to look at"), (["--tolerate", "7", "x.csv"], "--tolerate 7 is no share")],
)
def test_wrong_input_is_told(arguments: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        app(["profile", *arguments], standalone_mode=False)
