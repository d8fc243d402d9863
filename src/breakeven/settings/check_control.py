"""What is wrong with the section of the control plane, seen beside the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.settings.control import slips

if TYPE_CHECKING:
    from breakeven.settings.check import Findings
    from breakeven.settings.parts import Parts


def check_control(parts: Parts, findings: Findings) -> None:
    """Note what is wrong with the section, and find the tokens that it refers to."""
    control = parts.control
    if control is None:
        return
    for index, token in enumerate(control.tokens):
        if token.token is not None:
            findings.resolve(token.token, ("control", "tokens", index, "token"))
    for slip in slips(control, findings.secrets, parts.listen.host, parts.listen.port):
        findings.problem(("control", *slip.place), slip.what, slip.fix)
