"""Everything a worker knows: plain frozen values, resolved before it starts, swapped whole and never changed.

Secrets are in it in the clear, so it travels only through memory, never through a file or a log.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from breakeven.catalog.rate_card import PriceList  # noqa: TC001 - msgspec reads these annotations at run time
from breakeven.economics.pool_hours import PoolTerms  # noqa: TC001 - likewise
from breakeven.gateway.copy_plan import CopyRule  # noqa: TC001 - likewise
from breakeven.gateway.shift_plan import ShiftPlan  # noqa: TC001 - likewise
from breakeven.gateway.task_plan import TasksPlan  # noqa: TC001 - likewise
from breakeven.gateway.verify_plan import VerifyPlan  # noqa: TC001 - likewise
from breakeven.limits.rules import Rule  # noqa: TC001 - likewise
from breakeven.routing.eligible import CHAT
from breakeven.routing.health import Breaker
from breakeven.routing.hedge import Hedging  # noqa: TC001 - msgspec reads these annotations at run time


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a target may take, by what is waited for."""

    connect_s: float
    first_token_s: float
    """From the request's last byte to the first byte of the answer's body."""

    between_tokens_s: float
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A CONNECT proxy on the way to a target."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)
    """Value of ``Proxy-Authorization``; empty when the proxy asks for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What makes a target a node of a pool."""

    pool: str
    engine: str
    """A name in ``engines.dialects.ENGINES``."""

    most_waiting_requests: int
    """Requests that wait inside it with which it counts as full; likewise the next two."""

    most_kv_fraction: float
    most_ttft_s: float | None
    """None: however late its first token is expected."""

    back_ratio: float
    """Of each limit, below which it counts as free again."""

    slot_count: int | None
    """Requests that it works on at once, where somebody said so."""

    observe_s: float
    """How often its engine is asked how busy it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A place that serves models."""

    name: str
    host: str
    port: int
    tls: bool
    host_header: str
    """``host`` or ``host:port`` as the URL has it."""

    base_path: str
    """Path before ``/chat/completions`` and the like: ``/v1``, or empty."""

    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """What every request to it carries: credentials, mostly."""

    model: str
    """The model's name there; empty: as the client says it."""

    priced_as: str
    """``provider:model`` whose prices hold; ``provider:*``: of the model that was asked for; empty: no price."""

    timeouts: Timeouts
    ca_file: str = ""
    proxy: Proxy | None = None
    stream_usage: bool = True
    """Whether it understands ``stream_options.include_usage``; if not, streams are estimated."""

    bound: str = "max_completion_tokens"
    """Key of a chat request that bounds the answer, for requests that are translated into one."""

    max_connections: int = 1024
    sensitivities: tuple[str, ...] = ()
    """Kinds of data that may be sent there; a request that is marked with a kind goes nowhere else."""

    protocols: int = CHAT
    """What it speaks: a sum of ``routing.eligible``'s constants."""

    context_tokens: int = 0
    """Longest prompt and answer together that it takes; 0: not known."""

    prefill: str = ""
    """How it is told to continue what the assistant began: ``plain``, ``prefix`` or ``continue_final_message``; empty:
    it does not, or that is not known."""

    provider: str = ""
    """Who serves it; empty: not known."""

    node: Node | None = None
    """None: it is no node of a pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPlan:
    """How requests wait for a node while all are full and no API may take them."""

    most_requests: int
    longest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A logical model and the targets that may serve it, in the order in which they are configured."""

    model: str
    """The name clients use; ``*`` for every name that has no route of its own."""

    targets: tuple[str, ...]
    weights: tuple[float, ...]
    policy: str
    """A name in ``routing.policies.POLICIES``."""

    max_attempts: int
    listed: tuple[str, ...] = ()
    """Names that ``GET /v1/models`` shows for ``*``, which takes others too."""

    names: tuple[str, ...] = ()
    """By target, the model that it is asked for where it has no name of its own for it; empty: the one asked for."""

    own_names: tuple[str, ...] = ()
    """By target, the model's name there for this route alone; empty: the target's. None at all: so for every target."""

    cache_s: float = 0.0
    """How long answers are given again to equal requests; 0: only where a request asks for it."""

    continues_streams: bool = True
    """Let another target go on where a stream broke off, if it can."""

    hedging: Hedging | None = None
    """How often and how late a second target is asked beside a slow one; None: never."""

    guards: tuple[tuple[str, ...] | None, ...] = ()
    """By target, the tasks that it may have; None: all. None at all: no target is guarded."""

    hours: tuple[tuple[str, str] | None, ...] = ()
    """By target, when it is the one to ask: a timetable and its time zone; None: always. None at all: all always."""

    first_token_s: float | None = None
    """Within which the first token should come, for policies that weigh that."""

    most_usd: float | None = None
    """What a request may cost, for policies that weigh that."""

    verify: VerifyPlan | None = None
    """How its answers are checked; None: they are not."""

    waiting: WaitingPlan | None = None
    """None: a full node takes them all the same."""

    refuse_unpriced: bool = False
    """Refuse a request whose target has no known price, instead of recording it without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A virtual key, known by its hash alone."""

    name: str
    sha256: str
    """Hex digest of the whole key."""

    models: tuple[str, ...] = ()
    """Models it may ask for; empty: all."""

    tags: str = ""
    """Tags of its requests that bring none."""

    sensitivity: str = ""
    """Kinds of data that all of its requests are marked with, parted by commas; empty: none."""

    expires_s: float | None = None
    """Unix seconds from which it is refused."""

    priority: int = 0
    """Of its requests where they wait: higher ones go first."""

    team: str = ""
    rules: tuple[Rule, ...] = ()
    """Its own limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKeys:
    """The keys of the store at one moment."""

    keys: tuple[Key, ...] = ()
    ever_made: bool = False
    """Whether there ever was one, revoked or not: then nobody comes in without a key any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what a client may send, hold and keep waiting."""

    header_bytes: int
    body_bytes: int
    header_s: float
    """From the first byte of a request to the end of its head."""

    body_s: float
    """Longest pause within a body."""

    idle_s: float
    """How long a connection without a request is kept."""

    max_connections: int
    drain_s: float
    """How long streams in flight may run on after the stop was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerPlan:
    """Where the ledger is and what happens when it cannot be written."""

    folder: str
    """Holds ``spool/`` and, unless ``store`` says otherwise, ``ledger.sqlite``."""

    store: str
    drop_when_full: bool
    waiting_rows: int
    """Rows kept in memory while the spool cannot be written."""

    keep_days: int | None
    """Of which rows are kept; None: all."""

    fresh: bool
    """Begin with an empty ledger at every start: for benchmarks and demonstrations only."""

    pools: tuple[PoolTerms, ...] = ()
    """Whose hours it keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedState:
    """A Redis or Valkey through which limits are shared."""

    url: str = field(repr=False)
    """With credentials."""

    slack_fraction: float
    """Of each limit, that this gateway may spend beyond it while the server is away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticTask:
    """A task whose answers may be given again to questions that mean the same."""

    name: str
    least_similarity_ratio: float
    """Cosine of two questions from which they may be the same."""

    most_false_fraction: float
    """Of hits; nothing is given again before the checks show less."""

    checked_fraction: float
    """Of hits, once answers are given again."""

    ttl_s: float
    similar_answers: bool
    """Whether a check takes answers as the same whose vectors are alike and whose numbers are equal, or equal ones
    only."""

    answer_similarity_ratio: float
    """Cosine of two answers from which they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticPlan:
    """Answers that are given again to questions that mean the same."""

    embeddings_model: str
    """The route whose targets make the vectors."""

    tasks: tuple[SemanticTask, ...]
    max_entry_count: int
    """Of questions that are kept, per worker."""

    max_bytes: int
    """Of them all, per worker."""

    timeout_s: float
    """Within which a vector must come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One version of the whole configuration."""

    host: str
    port: int
    workers: int
    targets: tuple[Target, ...]
    routes: tuple[Route, ...]
    keys: tuple[Key, ...]
    open_to_all: bool
    """No key is asked for; only ever on a loopback address."""

    limits: Limits
    ledger: LedgerPlan
    price_lists: tuple[PriceList, ...]
    cache_bytes: int = 64 * 1024 * 1024
    cache_entry_bytes: int = 256 * 1024
    tasks: TasksPlan | None = None
    """None: tasks are what clients declare."""

    semantic: SemanticPlan | None = None
    """None: no questions are compared by what they mean."""

    breaker: Breaker = field(default_factory=Breaker)
    rules: tuple[Rule, ...] = ()
    """Limits of teams, tags, models, targets and providers."""

    reserved_output_tokens: int = 1024
    """For a request that says no largest output."""

    shared_state: SharedState | None = None
    sensitivity_of_tags: tuple[tuple[str, str], ...] = ()
    """Tags, and the kind of data that each marks a request with."""

    control: bytes = field(default=b"", repr=False)
    """What the control plane is told, for it alone to read; empty: there is none."""

    telemetry: bytes = field(default=b"", repr=False)
    """What the sender of spans is told, likewise."""

    batches: bytes = field(default=b"", repr=False)
    """What the process that serves files and batches is told, likewise."""

    virtual: bytes = b""
    """What the process is told that simulates pools which nobody rents; empty: there is none."""

    canaries: bytes = field(default=b"", repr=False)
    """What the process is told that asks nodes golden prompts, their keys included; empty: there is none."""

    alerts: bytes = field(default=b"", repr=False)
    """What the process is told that alerts, secrets of receivers included; empty: there is none."""

    trials: bytes = field(default=b"", repr=False)
    """What the process is told that compares candidates, likewise."""

    copies: tuple[CopyRule, ...] = ()
    """Which requests it gets copies of, beside those that shifts want."""

    behalf: str = field(default="", repr=False)
    """Secret with which that process sends requests in the name of a key; empty: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a supervisor tells its workers: what has changed."""

    keys: StoredKeys | None = None
    snapshot: Snapshot | None = None
    drained: tuple[str, ...] | None = None
    """Targets that are out of service."""

    shifts: tuple[ShiftPlan, ...] | None = None
    """Shifts of traffic that are under way."""

    leaves: bool = False
    """Whether this worker is one too many: it lets no more clients in, and ends once those it has are answered."""
