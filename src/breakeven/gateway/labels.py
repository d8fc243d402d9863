"""What is said of a request beside its body: by its client's headers, its key, and the task that is told from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.gateway.heads import episode_of
from breakeven.ledger import rows
from breakeven.routing.eligible import marks

if TYPE_CHECKING:
    from breakeven.gateway.keyring import KeyState
    from breakeven.gateway.task_desk import TaskDesk
    from breakeven.ledger.spool import Spool

MAX_LABEL_BYTES: Final = 128
"""Labels are cut to this length."""

TASK: Final = b"x-breakeven-task"
"""The header in which a client names the kind of work."""


BATCH: Final = b"x-breakeven-batch"
IDLE: Final = b"idle"
"""The header, and its value, of lines of a batch that wait for idle capacity."""


class Labels:
    """What a client says about a request: coded for the ledger, and the kinds of data for the filter."""

    __slots__ = ("episode", "idle_only", "sensitivities", "tag_text", "tags", "task", "task_text")

    def __init__(self, headers: dict[bytes, bytes], key: KeyState, spool: Spool) -> None:
        self.task_text = _text(headers.get(TASK, b""))
        self.task = spool.code(rows.TASK, self.task_text)
        tags = headers.get(b"x-breakeven-tags")
        self.tag_text = key.tag_text if tags is None else _text(tags)
        self.tags = key.tags if tags is None else spool.code(rows.TAGS, self.tag_text)
        self.episode = _text(episode_of(headers))
        self.idle_only = headers.get(BATCH) == IDLE
        """Whether it is to use nothing but capacity that is idle."""

        self.sensitivities = key.sensitivities
        """Kinds of data that the request is marked with, by its key and by itself."""

        said = headers.get(b"x-breakeven-sensitivity", b"")
        if said or tags:  # read whole: what is cut off may be what keeps the request inside
            texts = [text.decode("utf-8", "replace") for text in (said, tags or b"")]
            self.sensitivities = key.sensitivities | marks(texts[:1], texts[1], key.of_tags)

    def tell(self, desk: TaskDesk, model: str, client: str, body: bytes | None, spool: Spool) -> None:
        """Have the task told, from the body too where there is one; ``client`` is whom fingerprints are learned of."""
        header = self.task_text
        told = desk.declared(header, model) if body is None else desk.tell(header, model, client, body)
        self.task_text = told.task
        self.task = spool.code(rows.TASK, told.task)


def _text(value: bytes) -> str:
    return value[:MAX_LABEL_BYTES].decode("utf-8", "replace")
