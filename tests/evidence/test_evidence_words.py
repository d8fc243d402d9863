"""What is said of evidence, and that saying it needs nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from breakeven.evidence.betting import begin
from breakeven.evidence.words import needed_words, pairs_words, percent, points

NEW = begin(margin_fraction=0.03)


def test_a_candidate_that_is_good_enough_is_called_so() -> None:
    betting = NEW.after([1.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0, 0.0] * 60)
    assert pairs_words(betting) == (
        "over 480 pairs (37.5 % differ) the candidate scores +12.5 points against the incumbent (95 %, however often "
        "one looks: +2.2 to +22.8). It is not 3 points worse: a bet on that grew to 25,759 times its stake; 20 times "
        "suffices for a risk of 5 %."
    )
    assert needed_words(betting) == ""


def test_a_candidate_that_is_worse_is_called_so_and_no_pairs_are_promised() -> None:
    betting = NEW.after([-1.0, 0.0, 0.0] * 200)
    assert "It is more than 3 points worse: a bet on that grew to over 1,000,000 times its stake" in pairs_words(
        betting
    )
    assert needed_words(betting).startswith("As things stand, more pairs will not show it")


@pytest.mark.parametrize(("fraction", "shown"), [(0.05, "5 %"), (0.005, "0.5 %"), (1.0, "100 %"), (1 / 3, "33.3 %")])
def test_shares_are_shown_in_percent(fraction: float, shown: str) -> None:
    assert percent(fraction) == shown


def test_points_have_a_sign_where_they_are_a_difference() -> None:
    assert (points(0.0123), points(-0.0123), points(0.03, signed=False)) == ("+1.2", "-1.2", "3")


def test_the_process_that_decides_loads_no_numpy() -> None:
    modules = "betting, shift, guards, judge, paired, retried, sameness, signals, answers, words"
    check = f"import sys; from breakeven.evidence import {modules}; print({{'numpy', 'scipy'}} & sys.modules.keys())"
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
