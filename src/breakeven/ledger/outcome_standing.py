"""Whether outcomes speak of requests that the ledger has, and of their own key's: told where the two meet.

Rows of closed days are looked up in their files, where those can be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from breakeven.errors import MissingExtraError
from breakeven.ledger.days import day_files, reading
from breakeven.ledger.export import reader_of_files
from breakeven.ledger.ids import ATTEMPTS
from breakeven.ledger.outcomes import SAID

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from breakeven.ledger.outcomes import Outcome

Standing = Literal["known", "unknown", "of others"]

_KEY_OF_REQUEST: Final = (
    "SELECT k.text FROM attempt CROSS JOIN series s ON s.id = attempt.series LEFT JOIN text k ON k.id = s.key "
    "WHERE attempt_id >= ? AND attempt_id < ? LIMIT 1"
)
_KEYS_OF_EPISODES: Final = (
    "SELECT DISTINCT a.episode, k.text FROM (SELECT DISTINCT episode, series FROM attempt WHERE episode IS NOT NULL) a "
    "JOIN series s ON s.id = a.series LEFT JOIN text k ON k.id = s.key"
)


class Known(NamedTuple):
    """Requests and episodes that the ledger has, of those that were asked for."""

    requests: Mapping[int, str]
    """The key of each; an empty one for none."""

    episodes: Mapping[str, frozenset[str]]
    """The keys of each: two may have used one name."""


def known(connection: sqlite3.Connection, store: Path, request_ids: Iterable[int], episodes: Iterable[str]) -> Known:
    """Look requests and episodes up; those of closed days need pyarrow, and count as unknown without it."""
    wanted_requests, wanted_episodes = set(request_ids), set(episodes) - {""}
    with reading(store) as folder:
        requests: dict[int, str] = {}
        for number in wanted_requests:
            found = connection.execute(_KEY_OF_REQUEST, (number, number + ATTEMPTS)).fetchone()
            if found is not None:
                requests[number] = found[0] or ""
        pairs: set[tuple[str, str]] = set()
        if wanted_episodes:
            rows = connection.execute(_KEYS_OF_EPISODES)
            pairs = {(episode, key or "") for episode, key in rows if episode in wanted_episodes}
        _look_into_files(connection, folder, wanted_requests, (requests, wanted_episodes, pairs))
    by_episode: dict[str, set[str]] = {}
    for episode, key in pairs:
        by_episode.setdefault(episode, set()).add(key)
    return Known(requests, {episode: frozenset(keys) for episode, keys in by_episode.items()})


def standing(outcome: Outcome, found: Known) -> Standing:
    """Return whether an outcome speaks of something known, and may: what came over HTTP, of its own key's alone."""
    if outcome.request_id is not None:
        key = found.requests.get(outcome.request_id)
        keys = frozenset() if key is None else frozenset((key,))
    else:
        keys = found.episodes.get(outcome.episode, frozenset())
    if not keys:
        return "unknown"
    return "of others" if outcome.origin == SAID and outcome.key not in keys else "known"


def standings(
    connection: sqlite3.Connection, store: Path, outcomes: Sequence[Outcome]
) -> Iterator[tuple[Outcome, Standing]]:
    """Yield outcomes with what becomes of them."""
    found = known(
        connection,
        store,
        (outcome.request_id for outcome in outcomes if outcome.request_id is not None),
        (outcome.episode for outcome in outcomes if outcome.request_id is None),
    )
    for outcome in outcomes:
        yield outcome, standing(outcome, found)


def all_attempt_ids(connection: sqlite3.Connection, store: Path) -> Iterator[int]:
    """Yield the id of every attempt."""
    with reading(store) as folder:
        for (number,) in connection.execute("SELECT attempt_id FROM attempt"):
            yield number
        for path in _files(connection, folder):
            from breakeven.ledger.day_file import ids_of  # noqa: PLC0415 - pyarrow, which the core install leaves out

            yield from ids_of(path)


def _look_into_files(
    connection: sqlite3.Connection,
    folder: Path,
    request_ids: set[int],
    into: tuple[dict[int, str], set[str], set[tuple[str, str]]],
) -> None:
    """Add what is in the files of closed days: keys of requests that the store lacks, and of episodes."""
    requests, episodes, pairs = into
    missing = sorted(request_ids - requests.keys())
    for path in _files(connection, folder) if missing or episodes else ():
        from breakeven.ledger.day_file import keys_of_episodes, read_some  # noqa: PLC0415 - as above

        if missing:
            requests |= {row.attempt_id: row.key or "" for row in read_some(path, missing)}
        if episodes:
            pairs |= keys_of_episodes(path, sorted(episodes))


def _files(connection: sqlite3.Connection, folder: Path) -> list[Path]:
    files = day_files(connection)
    try:
        if files:
            reader_of_files()
    except MissingExtraError:
        return []
    return [folder / file.name for file in files]
