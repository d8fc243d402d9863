"""The checks of models' answers, as workers are told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from breakeven.gateway.verify_plan import HttpCheck, VerifyPlan
from breakeven.routing.verify import Rule
from breakeven.settings.address import read_address
from breakeven.settings.check_verify import schema_text
from breakeven.settings.secret import is_reference
from breakeven.settings.verify import OF_REQUEST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from breakeven.settings import Secret, Settings
    from breakeven.settings.verify import HttpCheckEntry, VerifyEntry


def verify_plan(entry: VerifyEntry, settings: Settings) -> VerifyPlan:
    """Return what is checked of a model's answers, secrets included."""
    return VerifyPlan(
        rule=Rule(
            enum=entry.enum or (),
            regex=entry.regex or "",
            json_schema=schema_text(entry, settings.folder),
            own_schema=entry.json_schema == OF_REQUEST,
        ),
        http=http_check(entry.http, settings.secrets, settings.folder) if entry.http is not None else None,
        tasks=entry.tasks or (),
        most_bytes=entry.most_bytes,
        passes_unverifiable=entry.unverifiable == "pass",
        verifies_last=entry.verify_last,
    )


def http_check(entry: HttpCheckEntry, secrets: Mapping[str, Secret], folder: Path) -> HttpCheck:
    """Return a user's own check, as those know it who ask it; its paths begin at ``folder``."""
    url = secrets[entry.url].reveal() if is_reference(entry.url) else entry.url
    address = read_address(url)
    key = (("authorization", f"Bearer {secrets[entry.key].reveal()}"),) if entry.key is not None else ()
    return HttpCheck(
        host=address.host,
        port=address.port,
        tls=address.tls,
        host_header=address.host_header,
        path=address.path,
        headers=key,
        timeout_s=entry.timeout_s,
        ca_file=str(folder / entry.ca_file) if entry.ca_file else "",
        sensitivities=entry.sensitivities,
    )
