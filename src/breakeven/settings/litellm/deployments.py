"""One entry of LiteLLM's ``model_list`` as a target of ours."""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from breakeven.settings.address import check_target_url, read_address
from breakeven.settings.headers import HEADER_NAME, HEADER_VALUE, OURS, looks_secret
from breakeven.settings.litellm.notes import REFERENCE
from breakeven.settings.litellm.providers import KNOWN, UNREACHED, split_model
from breakeven.settings.providers import load_providers, provider_at
from breakeven.settings.targets import Timeouts

if TYPE_CHECKING:
    from breakeven.settings.litellm.notes import Notes
    from breakeven.settings.litellm.providers import Known
    from breakeven.sources.shape import Place

_AZURE_HOST: Final = re.compile(r"([a-z0-9][a-z0-9-]*)\.openai\.azure\.com")
_REGION: Final = re.compile(r"[a-z]{2}[a-z0-9-]{1,30}[0-9]")
_SHARES: Final = ("weight", "rpm", "tpm")
_CARRIED: Final = frozenset(
    {
        "model", "custom_llm_provider", "api_base", "base_url", "api_key", "azure_ad_token", "aws_region_name",
        "timeout", "extra_headers", "organization", "weight", "order", "litellm_credential_name",
    }
)  # fmt: skip
_IN_REQUESTS: Final = "clients say it in their requests; a target changes nothing in them."
_SIGNING: Final = "requests are not signed with AWS keys: the target wants an API key of Bedrock."
_PRICES: Final = "prices of your own stand in a rate card (rate_cards and prices:)."
_WHY: Final = {
    "api_version": "Azure's v1 address, which is used here, takes no version.",
    "rpm": "as a limit; where there is no weight, it is the target's share.",
    "tpm": "as a limit; where there is neither weight nor rpm, it is the target's share.",
    "stream_timeout": "times are set by what is waited for: see timeouts.",
    "max_retries": "each target is tried once for a request.",
    "num_retries": "each target is tried once for a request.",
    "drop_params": "requests pass as they came: nothing is dropped from them.",
    **dict.fromkeys(("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_profile_name"), _SIGNING),
    **dict.fromkeys(("input_cost_per_token", "output_cost_per_token", "input_cost_per_second"), _PRICES),
    **dict.fromkeys(
        ("temperature", "max_tokens", "max_completion_tokens", "top_p", "seed", "stop", "user", "n"), _IN_REQUESTS
    ),
}


class Deployment(NamedTuple):
    """A target, and what its route has to know of it."""

    model: str
    """What clients ask for."""

    name: str
    target: dict[str, Any]
    shares: tuple[float | None, ...]
    """Weight, requests and tokens a minute: LiteLLM draws by the first of them that is given."""

    order: int | None


class Entry(NamedTuple):
    """An entry of ``model_list`` that has a provider."""

    known: Known
    prefix: str
    """LiteLLM's name of the provider."""

    there: str
    """The model's name at the provider; ``*``: as the client says it."""

    name: str
    """Of the target that it becomes."""

    params: dict[str, Any]
    """Its ``litellm_params``, with the credentials that they name put in."""

    place: Place


def convert_deployment(model: str, name: str, params: dict[str, Any], place: Place, notes: Notes) -> Deployment | None:
    """Return an entry's target under a name; None, and a note, where it cannot be one."""
    written = str(params.get("model", ""))
    prefix, there = split_model(written, str(params.get("custom_llm_provider", "")))
    known = KNOWN.get(prefix)
    if known is None:
        why = UNREACHED.get(prefix, f"{(prefix or written or 'it')[:80]} is no provider that the gateway knows.")
        notes.leave((*place, "model"), f"the whole entry: {why}")
        return None
    if there != "*" and (not there.strip() or not there.isprintable() or len(there) > 256 or "*" in there):
        notes.leave((*place, "model"), "the whole entry: no target can have this model's name.")
        return None
    entry = Entry(known, prefix, there, name, params, place)
    where = _where(entry, notes)
    if where is None:
        return None
    target = where | _key(entry, where, notes)
    if there != "*":
        target["model"] = there.rpartition("/")[2] if prefix == "bedrock" else there
    target |= _headers(name, params, place, notes) | _timeouts(params, place, notes)
    for key in (key for key in params if key not in _CARRIED):
        notes.leave((*place, key), _WHY.get(key, "no key of a target says that."))
    order = _number(params.get("order"))
    shares = tuple(_number(params.get(key)) for key in _SHARES)
    return Deployment(model, name, target, shares, None if order is None else int(order))


def _where(entry: Entry, notes: Notes) -> dict[str, Any] | None:
    """Return ``provider``, ``at`` and ``url`` of an entry; None, and a note, where it does not lead anywhere."""
    if entry.prefix == "bedrock":
        return _bedrock(entry, notes)
    key = "base_url" if entry.params.get("base_url") else "api_base"
    base: str | None = notes.environment("AZURE_API_BASE") if entry.prefix == "azure" else ""
    if entry.params.get(key):
        base = notes.text(entry.params[key], (*entry.place, key))
    if base is None:
        return None
    if base:
        return _with_base(entry, base, (*entry.place, key), notes)
    if entry.known.provider == "ollama":
        return {"provider": "ollama", "at": {"host": "localhost"}}
    provider = load_providers().get(entry.known.provider)
    if provider is None or provider.places:
        notes.leave(entry.place, "the whole entry: nothing says where it is.", "Give it an api_base.")
        return None
    return {"provider": provider.id}


def _with_base(entry: Entry, base: str, place: Place, notes: Notes) -> dict[str, Any] | None:
    known, url = entry.known, base.rstrip("/").removesuffix("/chat/completions")
    if entry.prefix == "azure":
        host = _AZURE_HOST.fullmatch(url.removeprefix("https://").partition("/")[0].lower())
        if host:
            return {"provider": "azure", "at": {"resource": host[1]}}
        url = url.partition("/openai")[0] + "/openai/v1"
    elif known.base_ends and not url.endswith(known.base_ends):
        url += known.base_ends
    try:
        check_target_url(url)
    except ValueError as error:
        notes.leave(place, f"the whole entry: its address cannot be used: {error}.")
        return None
    if entry.prefix == "huggingface":
        return {"provider": "tgi", "url": url}
    return {"provider": known.provider, "url": url} if known.provider not in ("", "openai") else {"url": url}


def _bedrock(entry: Entry, notes: Notes) -> dict[str, Any] | None:
    params, place = entry.params, entry.place
    if "openai." not in entry.there.rpartition("/")[2]:
        why = "the whole entry: Bedrock's OpenAI-compatible address serves OpenAI's models, and this is none."
        notes.leave((*place, "model"), why)
        return None
    region: str | None = notes.environment("AWS_REGION_NAME") or notes.environment("AWS_REGION")
    if params.get("aws_region_name"):
        region = notes.text(params["aws_region_name"], (*place, "aws_region_name"))
    if not region or not _REGION.fullmatch(region):
        notes.leave(place, "the whole entry: nothing says in which AWS region it is.", "Give it an aws_region_name.")
        return None
    return {"provider": "aws", "at": {"region": region}}


def _key(entry: Entry, where: dict[str, Any], notes: Notes) -> dict[str, str]:
    """Return ``key`` and, for a token of Entra ID, ``key_header``."""
    known, name, params, place = entry.known, entry.name, entry.params, entry.place
    if params.get("azure_ad_token"):
        token = notes.secret(params["azure_ad_token"], (*place, "azure_ad_token"), f"{name}_TOKEN")
        return {"key": token, "key_header": "authorization"} if token else {}
    if params.get("api_key") is not None:
        reference = notes.secret(params["api_key"], (*place, "api_key"), f"{name}_API_KEY")
        return {"key": reference} if reference else {}
    if not known.variable:
        return {}
    if "provider" not in where and provider_at(read_address(where["url"]).host) != load_providers()[known.provider]:
        why = f"LiteLLM would send {known.variable} to this address, which is not OpenAI's; the target has no key."
        notes.leave((*place, "api_base"), why, "Give it a key: where it wants one.")
        return {}
    return {"key": notes.variable(known.variable)}


def _headers(name: str, params: dict[str, Any], place: Place, notes: Notes) -> dict[str, dict[str, str]]:
    given, organization = params.get("extra_headers"), params.get("organization")
    headers: dict[str, tuple[Any, Place]] = {}
    for header, value in given.items() if isinstance(given, dict) else ():
        headers[str(header)] = (value, (*place, "extra_headers", str(header)))
    if isinstance(organization, str):
        headers["openai-organization"] = (organization, (*place, "organization"))
    elif organization is not None:
        notes.leave((*place, "organization"), "a target has one organization.", "Write a target for each by hand.")
    found: dict[str, str] = {}
    for header, (value, where) in headers.items():
        text = str(value).strip()
        known = {item.lower() for item in found}
        if not HEADER_NAME.fullmatch(header) or header.lower() in OURS | known | {"authorization"}:
            notes.leave(where, "this is no header that a target can be sent besides the others.")
        elif text.startswith(REFERENCE) or looks_secret(header, text):
            reference = notes.secret(text, where, f"{name}_{header}")
            found |= {header: reference} if reference else {}
        elif HEADER_VALUE.fullmatch(text):
            found[header] = text
        else:
            notes.leave(where, "the value of a header is one line of ASCII.")
    return {"headers": found} if found else {}


def _timeouts(params: dict[str, Any], place: Place, notes: Notes) -> dict[str, dict[str, float]]:
    if params.get("timeout") is None:
        return {}
    total_s = _number(params["timeout"])
    if total_s is None or not 0 < total_s <= 86_400:
        notes.leave((*place, "timeout"), "this is no number of seconds between 0 and 86400.")
        return {}
    usual = Timeouts().model_dump()
    times = {key: min(value, total_s) for key, value in usual.items() if key != "total_s"}
    return {"timeouts": times | {"total_s": total_s}}


def _number(value: Any) -> float | None:
    """Return a value that is a finite number, or written as one."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None
