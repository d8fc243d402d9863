"""The user's own check of a replay: where it is, as the command line or the settings say, and what is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from breakeven.errors import InputError
from breakeven.settings.live_check import live_check
from breakeven.settings.one_secret import read_secret
from breakeven.settings.secret import Secret, is_reference
from breakeven.settings.verify import HttpCheckEntry
from breakeven.trials.replay_check import ReplayCheck
from breakeven.wiring.verify import http_check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from breakeven.wiring.replay_question import CheckPlace, ReplayRequest


class OwnCheck(NamedTuple):
    """A check that is asked."""

    asked: ReplayCheck
    host: str
    where: str = ""
    """In the settings; empty: the command line names it."""

    @property
    def notes(self) -> Iterator[str]:
        """Yield what a person should know of how it was asked."""
        asked = self.asked
        if self.where:
            yield f"Your own check is asked as {self.where} says; --without-check leaves it out."
        if asked.withheld_count:
            yield f"Your own check may not see {asked.withheld_count:,} pairs, by their sensitivity: it was not asked."
        if asked.failed_count:
            yield (
                f"Your own check said nothing of {asked.failed_count:,} pairs ({asked.example}): they are kept "
                "without it, and are not asked again."
            )


def find_check(request: ReplayRequest, config: Path | None, model: str, candidate: str) -> OwnCheck | None:
    """Return the check of a replay: the one that is asked for, else the one that live pairs of both are shown.

    Raises ``InputError`` where it could not be asked, with its address left out: there may be a secret in it.
    """
    if request.check is not None:
        return _given(request.check, request.ca_file)
    if config is None or not request.asks_settings_check:
        return None
    found = live_check(config, model, candidate)
    if found is None:
        return None
    plan = http_check(found.entry, found.secrets, config.parent.absolute())
    return OwnCheck(ReplayCheck(plan, sees_all=False), plan.host, found.where)


def _given(place: CheckPlace, ca_file: Path | None) -> OwnCheck:
    """Return a check that the command line names, within the bounds of those that settings name."""
    secrets: dict[str, Secret] = {}
    for option, text in (("--check-url", place.url), ("--check-key", place.key)):
        if text and (option == "--check-key" or is_reference(text)):
            secrets[text] = Secret(read_secret(text, option))
    try:
        entry = HttpCheckEntry(url=place.url, key=place.key, timeout_s=place.timeout_s, ca_file=ca_file)
        plan = http_check(entry, secrets, Path())
        return OwnCheck(ReplayCheck(plan, sees_all=True), plan.host)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        option = "--check-timeout" if found["loc"] == ("timeout_s",) else "--check-url"
        why = str(found.get("ctx", {}).get("error") or found["msg"]).rstrip(".")
        raise InputError(f"{option}: the check could not be asked: {why}.") from error
    except (ValueError, OSError) as error:  # of an address that a secret holds, or of certificates
        raise InputError(f"--check-url: the check could not be asked: {error}.") from error
