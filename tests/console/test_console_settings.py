"""``control:`` of the settings: roles by name, tokens by digest or reference, and what is refused."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from breakeven.console.plan import Role
from breakeven.settings.control import ControlEntry, RoleName, slips
from breakeven.settings.secret import Secret
from console.control import digest

SECRETS = {"env:GOOD": Secret("a-token-that-is-long-enough"), "env:SHORT": Secret("short")}
EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens
GOOD = digest("a-token-that-is-long-enough")


def found(**written: Any) -> list[tuple[Any, str]]:
    entry = ControlEntry.model_validate(written)
    return [(slip.place, slip.what) for slip in slips(entry, SECRETS, "127.0.0.1", 9400)]


def test_roles_are_named_as_the_control_plane_knows_them() -> None:
    assert [name.upper() for name in get_args(RoleName)] == [role.name for role in Role][1:]


def test_by_itself_it_is_for_this_machine_only() -> None:
    entry = ControlEntry()
    assert (entry.host, entry.port, entry.tokens) == ("127.0.0.1", 9401, ())
    assert found() == []


def test_beyond_loopback_it_needs_tokens() -> None:
    ((place, what),) = found(host=EVERYWHERE)
    assert place == ("host",)
    assert "needs tokens" in what
    assert found(host=EVERYWHERE, tokens=[{"name": "a", "token": "env:GOOD", "role": "viewer"}]) == []


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([{"name": "a", "role": "viewer"}], "either sha256 or token"),
        ([{"name": "a", "role": "viewer", "sha256": GOOD, "token": "env:GOOD"}], "either sha256 or token"),
        ([{"name": "a", "role": "viewer", "token": "env:SHORT"}], "at least 16 characters"),
        ([{"name": "a", "role": "viewer", "sha256": digest("")}], "at least 16 characters"),
        (
            [
                {"name": "a", "role": "viewer", "sha256": GOOD.upper()},
                {"name": "b", "role": "admin", "token": "env:GOOD"},
            ],
            "the same token as 'a'",
        ),
        (
            [{"name": "a", "role": "viewer", "sha256": GOOD}, {"name": "a", "role": "admin", "sha256": digest("x")}],
            "stands twice",
        ),
    ],
)
def test_tokens_that_cannot_be_told_apart_or_could_be_guessed_are_refused(tokens: Any, message: str) -> None:
    assert any(message in what for _, what in found(tokens=tokens))


def test_the_gateways_own_port_is_taken() -> None:
    assert found(port=9400)[0][0] == ("port",)
    assert found(port=9400, host=EVERYWHERE, tokens=[{"name": "a", "token": "env:GOOD", "role": "viewer"}])
    assert found(port=9400, host="127.0.0.2") == []


def test_a_reference_that_does_not_resolve_is_left_to_who_resolves_it() -> None:
    assert found(tokens=[{"name": "a", "role": "viewer", "token": "env:GONE"}]) == []


@pytest.mark.parametrize(
    "token",
    [{"name": "a b", "role": "viewer"}, {"name": "a", "role": "root"}, {"name": "a"},
     {"name": "a", "role": "viewer", "token": "the-token-itself"}, {"name": "a", "role": "viewer", "sha256": "abc"}],
)  # fmt: skip
def test_what_is_no_token_is_no_token(token: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ControlEntry.model_validate({"tokens": [token]})


def test_digests_are_all_that_is_left_of_tokens() -> None:
    entry = ControlEntry.model_validate(
        {
            "tokens": [
                {"name": "a", "role": "viewer", "token": "env:GOOD"},
                {"name": "b", "role": "admin", "sha256": "A" * 64},
            ]
        }
    )
    assert [token.digest(SECRETS) for token in entry.tokens] == [GOOD, "a" * 64]
