"""What takes more than one key, or a look at the world, to find wrong: references, names, loops, prices.

It works on the parts of a file that are well-formed, so that a slip in one place does not hide those in others.
"""

from __future__ import annotations

import re
import ssl
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from breakeven.economics.pool_hours import is_pool_price
from breakeven.errors import InputError, Problem
from breakeven.settings.address import is_loopback, reaches_itself
from breakeven.settings.headers import HEADER_NAME, HEADER_VALUE, OURS, looks_secret
from breakeven.settings.pools import pool_of
from breakeven.settings.prices import ANY, PriceFound, nearest_names, prices_of
from breakeven.settings.providers import load_providers
from breakeven.settings.reach import UNKNOWN_URL, reach
from breakeven.settings.secret import Secret, check_reference, is_reference, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from breakeven.catalog.rate_card import PriceList
    from breakeven.settings.file import LedgerEntry, ModelEntry
    from breakeven.settings.parts import Parts
    from breakeven.settings.targets import TargetEntry
    from breakeven.sources.shape import Place
    from breakeven.sources.yaml_file import Document

_TARGET_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@+-]{0,127}")


class Findings:
    """What was found in a file: problems, warnings, the secrets that resolve, and prices."""

    __slots__ = ("cards", "document", "environment", "folder", "prices", "problems", "secrets", "warnings")

    def __init__(self, document: Document, folder: Path, environment: Mapping[str, str]) -> None:
        self.document = document
        self.folder = folder
        self.environment = environment
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.secrets: dict[str, Secret] = {}
        self.cards: dict[str, PriceList] = {}
        self.prices: tuple[PriceFound, ...] = ()

    def problem(self, place: Place, what: str, fix: str = "") -> None:
        """Note what makes the file unusable."""
        self.problems.append(Problem(where=self.document.where(place), what=what, fix=fix))

    def warn(self, place: Place, what: str, fix: str = "") -> None:
        """Note what may not be meant."""
        self.warnings.append(Problem(where=self.document.where(place), what=what, fix=fix))

    def resolve(self, reference: str, place: Place) -> None:
        """Find the secret that a well-formed reference names."""
        if reference in self.secrets:
            return
        found = resolve(reference, self.document.where(place), self.folder, self.environment)
        if isinstance(found, Secret):
            self.secrets[reference] = found
        else:
            self.problems.append(found)


def examine(parts: Parts, findings: Findings, *, has_stored_keys: bool) -> None:
    """Add everything that is wrong or doubtful with the parts taken together."""
    _check_listen(parts, findings, has_stored_keys=has_stored_keys)
    _check_targets(parts, findings)
    _check_models(parts, findings)
    _check_keys(parts, findings)
    _check_ledger(parts.ledger, findings)
    _read_cards(findings)
    _check_prices(parts, findings)


def _check_listen(parts: Parts, findings: Findings, *, has_stored_keys: bool) -> None:
    listen = parts.listen
    if is_loopback(listen.host):
        return
    written = findings.document.data.get("keys")
    if not written and not has_stored_keys:
        what = f"listening on {listen.host} needs keys, or everybody who reaches it could spend your money."
        fix = "Make one with `breakeven keys create NAME`, list one under keys:, or listen on 127.0.0.1."
        findings.problem(("listen", "host"), what, fix)


def _check_targets(parts: Parts, findings: Findings) -> None:
    serving = (name for name in _written_pools(findings) if name not in parts.pools or not parts.pools[name].virtual)
    if findings.document.data.get("targets") == {} and not any(serving):  # why a pool has no nodes stands there
        findings.problem(("targets",), "there are no targets, so nothing can be served.")
    for name in parts.target_names:
        if not _TARGET_NAME.fullmatch(name):
            what = "the name of a target has letters, digits and . _ / @ + - only, at most 128: it is sent in a header."
            findings.problem(("targets", name), what)
    for name, entry in parts.targets.items():
        place: Place = ("targets", name)
        _check_provider(entry, place, findings)
        _check_credentials(entry, place, findings)
        _check_proxy(entry, place, findings)
        check_authorities(entry.ca_file, tls=reach(entry).address.tls, place=place, findings=findings)
        times = entry.timeouts
        longest = max(times.connect_s, times.first_token_s, times.between_tokens_s)
        if times.total_s < longest:
            what = f"total_s ({times.total_s:g}) is shorter than a part of it ({longest:g})."
            findings.problem((*place, "timeouts", "total_s"), what, "Raise it, or lower the parts.")
        if reaches_itself(reach(entry).address, parts.listen.host, parts.listen.port):
            what = "this is the gateway's own address: a request would go round for ever."
            findings.problem((*place, "url"), what, "Give the target's own port, or listen on another.")
        if entry.model is not None and not entry.model.isprintable():
            findings.problem((*place, "model"), "the name of a model has no line breaks or control characters.")


def _check_provider(entry: TargetEntry, place: Place, findings: Findings) -> None:
    """Note what keeps a target from being found: a provider nobody knows, or too little or too much said about it."""
    written = findings.document.data["targets"][place[1]]
    known = load_providers()
    provider = known.get(entry.provider or "")
    if entry.provider is not None and provider is None:
        what = f"there is no provider {entry.provider!r}."
        findings.problem((*place, "provider"), what, _nearest(entry.provider, known))
    if written.get("url") is None and written.get("provider") is None:
        fix = "Write url: with its address, or provider: with the name of a known one."
        findings.problem(place, "nothing says where it is.", fix)
    open_places = provider.places if provider is not None and written.get("url") is None else ()
    at = written.get("at")
    given = set(at) if isinstance(at, dict) else set()
    if provider is not None and (missing := [name for name in open_places if name not in given]):
        example = ", ".join(f"{name}: …" for name in open_places)
        what = f"the address of {provider.title} leaves {' and '.join(missing)} open."
        findings.problem(place, what, f"Write at: {{{example}}}, or url: with the whole address.")
    elif provider is not None and entry.url is None and reach(entry).url == UNKNOWN_URL and given == set(entry.at):
        findings.problem((*place, "at"), f"with these, the address of {provider.title} cannot be read.")
    for name in sorted(entry.at.keys() - set(open_places)):
        findings.problem((*place, "at", name), "no address has this open.", _nearest(name, open_places))
    region = entry.at.get("region")
    if provider is not None and provider.regions and region is not None and region not in provider.regions:
        what = f"{region} is not among the regions that {provider.title} published."
        findings.warn((*place, "at", "region"), what, _nearest(region, provider.regions))


def _check_credentials(entry: TargetEntry, place: Place, findings: Findings) -> None:
    way = reach(entry)
    address = way.address
    secret = entry.key is not None
    if entry.key is not None:
        findings.resolve(entry.key, (*place, "key"))
    check_headers(entry.headers, place, findings, key_header=way.key_header if entry.key is not None else "")
    secret = secret or any(map(is_reference, entry.headers.values()))
    if secret and not address.tls and not is_loopback(address.host):
        what = f"its key goes to {address.host} unencrypted: whoever is on the way can read it."
        findings.warn((*place, "url"), what, "Use https where the network is not all yours.")


def check_headers(headers: Mapping[str, str], place: Place, findings: Findings, *, key_header: str = "") -> None:
    """Note what is wrong with the headers of an entry; ``key_header`` is the one that its key is sent in, if it is."""
    seen: set[str] = set()
    for name, value in headers.items():
        where = (*place, "headers", name)
        lower = name.lower()
        if not HEADER_NAME.fullmatch(name):
            findings.problem(where, "this is not the name of a header.")
        elif lower in OURS:
            findings.problem(where, f"the gateway writes the header {lower} itself; leave it out.")
        elif lower in seen:
            findings.problem(where, f"the header {lower} is given twice; upper and lower case are the same.")
        elif lower == key_header:
            findings.problem(where, f"key: sends the header {lower} already; keep one of the two.")
        else:
            _check_header_value(name, value, where, findings)
        seen.add(lower)


def _check_header_value(name: str, value: str, where: Place, findings: Findings) -> None:
    if is_reference(value):
        if _well_formed(value):
            findings.resolve(value, where)
        else:
            findings.problem(where, "this reference cannot be read.", "Write env:NAME or file:PATH.")
    elif looks_secret(name, value):
        fix = "Write env:NAME for an environment variable or file:PATH for a file that holds it."
        findings.problem(where, f"the header {name} looks like a secret, which does not stand in this file.", fix)
    elif not HEADER_VALUE.fullmatch(value):
        findings.problem(where, "the value of a header is one line of ASCII, and not empty.")


def _well_formed(reference: str) -> bool:
    try:
        check_reference(reference)
    except ValueError:
        return False
    return True


def _check_proxy(entry: TargetEntry, place: Place, findings: Findings) -> None:
    proxy = entry.proxy
    if proxy is None:
        return
    if (proxy.user is None) != (proxy.password is None):
        findings.problem((*place, "proxy"), "user and password of a proxy go together.")
    if proxy.password is not None:
        findings.resolve(proxy.password, (*place, "proxy", "password"))
    if proxy.user is None:
        return
    if is_reference(proxy.user):
        _check_header_value("user", proxy.user, (*place, "proxy", "user"), findings)
    elif ":" in proxy.user or not HEADER_VALUE.fullmatch(proxy.user):
        findings.problem((*place, "proxy", "user"), "a user name is one line of ASCII without a colon.")


def check_authorities(ca_file: Path | None, *, tls: bool, place: Place, findings: Findings) -> None:
    """Note what is wrong with the file of an entry's authorities, if it has one."""
    if ca_file is None:
        return
    where = (*place, "ca_file")
    path = findings.folder / ca_file
    if not tls:
        findings.problem(where, "ca_file counts for https only, and the URL is http.")
    try:
        ssl.create_default_context(cafile=str(path))
    except ssl.SSLError:
        findings.problem(where, f"{path} holds no certificates.", "It should be a PEM file.")
    except (OSError, ValueError) as error:
        findings.problem(where, f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.")


def _check_models(parts: Parts, findings: Findings) -> None:
    if findings.document.data.get("models") == {}:
        findings.problem(("models",), "there are no models, so there is nothing that clients could ask for.")
    for name in parts.model_names:
        if name != ANY and (not name.strip() or not name.isprintable() or "*" in name or len(name) > 256):
            what = (
                "the name of a model has 1 to 256 printable characters and no *; '*' alone stands for every other name."
            )
            findings.problem(("models", name), what)
    for name, model in parts.models.items():
        _check_model(name, model, parts, findings)
    used = {item.target for model in parts.models.values() for item in model.targets}
    used |= {shadow.candidate for shadow in parts.trials.shadows} if parts.trials is not None else set()
    for name in parts.targets.keys() - used if len(parts.models) == len(parts.model_names) else ():
        findings.warn(("targets", name), "no model is served there.")


def _check_model(name: str, model: ModelEntry, parts: Parts, findings: Findings) -> None:
    place: Place = ("models", name, "targets")
    seen: set[str] = set()
    pools = _written_pools(findings)
    for index, item in enumerate(model.targets):
        if item.target in pools:
            continue  # it has no nodes, and why stands at the pool
        if item.target not in parts.target_names:
            fix = _nearest(item.target, parts.target_names)
            findings.problem((*place, index), f"there is no target {item.target[:80]!r}.", fix)
        elif item.target in seen:
            findings.problem((*place, index), f"the target {item.target!r} stands twice.", "Give it one weight.")
        seen.add(item.target)
    weighted = any("weight" in item.model_fields_set for item in model.targets)
    if weighted and model.policy == "ordered":
        what = "weights count under policy: weighted (and least_busy, for ties), and this model is ordered."
        findings.problem(("models", name, "policy"), what, "Leave one of the two out.")


def _written_pools(findings: Findings) -> frozenset[str]:
    """Return the names of all pools, those that are not well-formed among them."""
    pools = findings.document.data.get("pools")
    return frozenset(map(str, pools)) if isinstance(pools, dict) else frozenset()


def _check_keys(parts: Parts, findings: Findings) -> None:
    names: dict[str, int] = {}
    digests: dict[str, str] = {}
    for index, key in parts.keys.items():
        place: Place = ("keys", index)
        if key.name in names:
            what = f"the name {key.name!r} stands twice: the ledger could not tell the two keys apart."
            findings.problem((*place, "name"), what)
        if (other := digests.get(key.sha256.lower())) is not None:
            findings.problem((*place, "sha256"), f"this is the same key as {other!r}.")
        names[key.name] = index
        digests[key.sha256.lower()] = key.name
        if not key.tags.isprintable():
            findings.problem((*place, "tags"), "tags are one line of text, such as team=search,env=prod.")
        for number, model in enumerate(key.models):
            if model not in parts.model_names and ANY not in parts.model_names:
                fix = _nearest(model, parts.model_names)
                findings.problem((*place, "models", number), f"there is no model {model[:80]!r}.", fix)


def _check_ledger(ledger: LedgerEntry, findings: Findings) -> None:
    for name, path in (("folder", ledger.folder), ("store", ledger.store)):
        if path is None:
            continue
        if "\0" in str(path):
            findings.problem(("ledger", name), "this is not the path of a file.")
        elif re.match(r"[a-z]+:/", str(path)):
            findings.problem(("ledger", name), "the store is an SQLite file; other databases cannot be named yet.")
        else:
            _check_kind(findings.folder / path, ("ledger", name), findings)


def _check_kind(path: Path, place: Place, findings: Findings) -> None:
    """Note a folder that is a file, or a store that is a folder."""
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:
        findings.problem(place, f"{path} cannot be looked at: {error.strerror or 'error'}.")
        return
    if place[-1] == "folder" and is_file:
        findings.problem(place, f"{path} is a file and should be a folder.")
    if place[-1] == "store" and is_folder:
        findings.problem(place, f"{path} is a folder and should be a file.")


def _read_cards(findings: Findings) -> None:
    from breakeven.sources.rate_cards import read_rate_cards  # noqa: PLC0415 - where there are any

    written = findings.document.data.get("rate_cards")
    for index, name in enumerate(written if isinstance(written, list) else ()):
        place: Place = ("rate_cards", index)
        if not isinstance(name, str):
            continue
        try:
            cards = read_rate_cards(findings.folder / name)
        except InputError as error:
            findings.problem(place, error.summary.rstrip(":") + ("." if error.problems else ""))
            findings.problems += error.problems
            continue
        for card in cards:
            if card.target in findings.cards:
                findings.problem(place, f"{card.target} has a card in an earlier file too; only one can hold.")
            findings.cards[card.target] = card


def _check_prices(parts: Parts, findings: Findings) -> None:
    findings.prices = prices_of(parts.targets, parts.models, findings.cards)
    for found in findings.prices:
        place: Place = ("targets", found.target, "prices")
        if is_pool_price(found.priced_as) and pool_of(found.target) in parts.pools:
            continue  # its hours say what it costs
        if found.prices is not None or found.priced_as.endswith(f":{ANY}"):
            _check_one_price_for_many(found, parts, findings)
            continue
        refused = [
            name
            for name, model in parts.models.items()
            if model.unknown_price == "refuse" and any(item.target == found.target for item in model.targets)
        ]
        then = (
            f"requests for {', '.join(refused)} are refused there" if refused else "requests are recorded without cost"
        )
        if not found.priced_as:
            fix = "Name one with prices: provider:model, from a rate card or from `breakeven catalog prices`."
            findings.warn(("targets", found.target), f"nothing says what it costs: {then}.", fix)
            continue
        fix = nearest_names(found.priced_as[:200], findings.cards)
        what = f"no price is known for {found.priced_as[:120]!r}"
        exact = parts.targets[found.target].prices == found.priced_as
        if exact:
            findings.problem(place, f"{what}.", fix)
        else:
            findings.warn(place, f"{what}: {then}.", fix)


def _check_one_price_for_many(found: PriceFound, parts: Parts, findings: Findings) -> None:
    entry = parts.targets[found.target]
    if found.model == ANY and found.prices is not None and entry.model is None:
        provider = found.priced_as.partition(":")[0]
        what = f"whatever model is asked for there is priced as {found.priced_as}."
        findings.warn(("targets", found.target, "prices"), what, f"Write {provider}:* for each model's own price.")


def _nearest(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = get_close_matches(name[:120], known, n=1, cutoff=0.5)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(known[:20])}." if known else ""
