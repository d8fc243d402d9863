"""The tables of the store for what answers were worth: outcomes, shadow pairs, shifts of traffic, alerts.

They came with version 4 of the store.  No table holds dollars: costs follow from tokens, targets and dates.
"""

from __future__ import annotations

from typing import Final

OUTCOMES: Final = (
    # What somebody or something said of a request or an episode; said again under the same id, the newer word counts.
    """CREATE TABLE IF NOT EXISTS outcome (
        id TEXT PRIMARY KEY,
        key TEXT NOT NULL,
        request_id INTEGER,
        episode TEXT,
        name TEXT NOT NULL,
        source TEXT NOT NULL,
        success INTEGER,
        score REAL,
        human_minutes TEXT,
        comment TEXT,
        demonstration TEXT,
        at_us INTEGER NOT NULL,
        received_us INTEGER NOT NULL,
        origin TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS outcome_by_request ON outcome (request_id) WHERE request_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS outcome_by_episode ON outcome (episode) WHERE episode IS NOT NULL",
)

PAIRS: Final = (
    # One request, answered by an incumbent and by a candidate; facts alone, and times as durations.  request_id is the
    # client's; the one of the two whose own id is that one served it, the other was asked beside.
    """CREATE TABLE IF NOT EXISTS pair (
        request_id INTEGER NOT NULL,
        candidate TEXT NOT NULL,
        incumbent TEXT NOT NULL,
        model TEXT NOT NULL,
        key TEXT NOT NULL,
        task TEXT NOT NULL,
        tags TEXT NOT NULL,
        at_us INTEGER NOT NULL,
        incumbent_request_id INTEGER,
        incumbent_input_tokens INTEGER,
        incumbent_output_tokens INTEGER,
        incumbent_first_byte_us INTEGER,
        incumbent_ended_us INTEGER,
        incumbent_characters INTEGER,
        incumbent_failure TEXT NOT NULL,
        candidate_request_id INTEGER,
        candidate_input_tokens INTEGER,
        candidate_output_tokens INTEGER,
        candidate_first_byte_us INTEGER,
        candidate_ended_us INTEGER,
        candidate_characters INTEGER,
        candidate_failure TEXT NOT NULL,
        origin TEXT NOT NULL,
        PRIMARY KEY (request_id, candidate)
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS pair_by_time ON pair (at_us)",
    # What a check said of both answers, each between 0 (bad) and 1 (good); version: of the judge and its question.
    """CREATE TABLE IF NOT EXISTS pair_check (
        request_id INTEGER NOT NULL,
        candidate TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        incumbent_score REAL NOT NULL,
        candidate_score REAL NOT NULL,
        detail TEXT NOT NULL,
        at_us INTEGER NOT NULL,
        PRIMARY KEY (request_id, candidate, name, version)
    ) WITHOUT ROWID""",
    # Question and both answers, sealed with a key that is not in the store; gone after expires_s.
    """CREATE TABLE IF NOT EXISTS pair_text (
        request_id INTEGER NOT NULL,
        candidate TEXT NOT NULL,
        sealed BLOB NOT NULL,
        expires_s REAL NOT NULL,
        PRIMARY KEY (request_id, candidate)
    ) WITHOUT ROWID""",
)

SHIFTS: Final = (
    """CREATE TABLE IF NOT EXISTS shift (
        id INTEGER PRIMARY KEY,
        model TEXT NOT NULL,
        target TEXT NOT NULL,
        plan TEXT NOT NULL,
        started_s REAL NOT NULL,
        ended_s REAL
    )""",
    # Where each task of a shift stands; the share of its traffic that goes to the target is plan.steps[step].
    """CREATE TABLE IF NOT EXISTS shift_task (
        shift INTEGER NOT NULL,
        task TEXT NOT NULL,
        state TEXT NOT NULL,
        step INTEGER NOT NULL,
        since_s REAL NOT NULL,
        PRIMARY KEY (shift, task)
    ) WITHOUT ROWID""",
    # Every decision, with what it rested on as JSON; by: 'guard', 'test', or the person who overrode.
    """CREATE TABLE IF NOT EXISTS shift_event (
        id INTEGER PRIMARY KEY,
        shift INTEGER NOT NULL,
        task TEXT NOT NULL,
        at_s REAL NOT NULL,
        kind TEXT NOT NULL,
        said_by TEXT NOT NULL,
        step_before INTEGER NOT NULL,
        step_after INTEGER NOT NULL,
        evidence TEXT NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS shift_event_of ON shift_event (shift, task, id)",
)

NOTICES: Final = (
    # What was advised or alerted, so that nothing is said twice and nothing flaps.
    """CREATE TABLE IF NOT EXISTS notice (
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        state TEXT NOT NULL,
        since_s REAL NOT NULL,
        told_s REAL,
        detail TEXT NOT NULL,
        PRIMARY KEY (kind, subject)
    ) WITHOUT ROWID""",
)

PROOF: Final = (*OUTCOMES, *PAIRS, *SHIFTS, *NOTICES)
