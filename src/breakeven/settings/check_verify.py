"""What is wrong with the checks of models' answers: patterns and schemas that are none, checks that cannot be asked."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec

from breakeven.errors import InputError
from breakeven.routing.verify import UncheckableError, pattern_validator, schema_validator
from breakeven.settings.address import is_loopback, reaches_itself, read_address
from breakeven.settings.check import check_authorities
from breakeven.settings.secret import is_reference

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.settings.check import Findings
    from breakeven.settings.file import ModelEntry
    from breakeven.settings.parts import Parts
    from breakeven.settings.verify import HttpCheckEntry, VerifyEntry
    from breakeven.sources.shape import Place


def check_verify(parts: Parts, findings: Findings) -> None:
    """Note what keeps answers from being checked, model by model."""
    for name, model in parts.models.items():
        if model.verify is None:
            continue
        place: Place = ("models", name, "verify")
        _check_texts(model.verify, place, findings)
        if model.verify.http is not None:
            check_http(model.verify.http, (*place, "http"), parts, findings)
        _check_reach(model, place, findings)


def schema_text(entry: VerifyEntry, folder: Path) -> str:
    """Return the schema that an entry gives, as JSON; empty where it gives none.  Raises ``InputError``."""
    schema: Any = entry.json_schema
    if schema is None or isinstance(schema, str):
        return ""
    if isinstance(schema, dict):
        return msgspec.json.encode(schema).decode()
    path = folder / schema
    try:
        return msgspec.json.encode(msgspec.json.decode(path.read_bytes())).decode()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}.") from error


def _check_texts(entry: VerifyEntry, place: Place, findings: Findings) -> None:
    if entry.regex is None and entry.json_schema is None:
        return
    if find_spec("jsonschema_rs") is None:
        what = "checking patterns and JSON Schemas needs the package jsonschema-rs."
        findings.problem(place, what, "pip install 'breakeven[verify]', or leave regex: and json_schema: out.")
        return
    if entry.regex is not None:
        try:
            pattern_validator(entry.regex)
        except UncheckableError:
            what = f"{entry.regex[:80]!r} is no pattern that is matched here."
            fix = "Look-around, back-references and patterns of more than a megabyte, compiled, are none."
            findings.problem((*place, "regex"), what, fix)
    try:
        if text := schema_text(entry, findings.folder):
            schema_validator(msgspec.json.decode(text))
    except InputError as error:
        findings.problem((*place, "json_schema"), str(error))
    except UncheckableError as error:
        findings.problem((*place, "json_schema"), f"this is no JSON Schema: {error}.")


def check_http(entry: HttpCheckEntry, place: Place, parts: Parts, findings: Findings) -> None:
    """Note what keeps a check of somebody's own, written at that place, from being asked."""
    url = entry.url
    where: Place = (*place, "url")
    if is_reference(url):
        findings.resolve(url, where)
        secret = findings.secrets.get(url)
        url = secret.reveal() if secret is not None else ""
    if entry.key is not None:
        findings.resolve(entry.key, (*place, "key"))
    if not url:
        return
    try:
        address = read_address(url)
    except ValueError as error:
        findings.problem(where, f"this is not the URL of a check: {error}.")
        return
    check_authorities(entry.ca_file, tls=address.tls, place=place, findings=findings)
    if reaches_itself(address, parts.listen.host, parts.listen.port):
        findings.problem(where, "this is the gateway's own address, and it checks nothing.", "Give the check's own.")
    if not address.tls and not is_loopback(address.host):
        what = "answers go there unencrypted: whoever is on the way can read them."
        findings.warn(where, what, "Use https where the network is not all yours.")


def _check_reach(model: ModelEntry, place: Place, findings: Findings) -> None:
    """Warn where no answer is ever checked."""
    entry = model.verify
    if entry is None or entry.verify_last:
        return
    if (len(model.targets) == 1 and not model.fallbacks) or model.max_attempts == 1:
        what = "there is one attempt for a request, and the last one is not checked: so none is."
        findings.warn(place, what, "Add a target or a fallback, or set verify_last: true.")
