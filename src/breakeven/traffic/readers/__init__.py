"""Formats of log that can be read.  A new one is a file in this folder and a line in ``READERS``.

The first reader whose ``sniff`` says yes gets the file, so the pickiest stand first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from breakeven.traffic.readers.anthropic_usage import AnthropicUsageReader
from breakeven.traffic.readers.azure import AzureReader
from breakeven.traffic.readers.bill import BillReader
from breakeven.traffic.readers.burstgpt import BurstGptReader
from breakeven.traffic.readers.helicone import HeliconeReader
from breakeven.traffic.readers.langfuse import LangfuseReader
from breakeven.traffic.readers.litellm import LiteLlmReader
from breakeven.traffic.readers.mapped import MappedReader
from breakeven.traffic.readers.mooncake import MooncakeReader
from breakeven.traffic.readers.openai_usage import OpenaiUsageReader
from breakeven.traffic.readers.otel import OtelReader
from breakeven.traffic.readers.servegen import ServeGenReader

if TYPE_CHECKING:
    from breakeven.traffic.head import Head
    from breakeven.traffic.layout import Options
    from breakeven.traffic.staging import Rows


class Reader(Protocol):
    """A format of log.  It is told by content; ``read`` leaves the rows in the database, checked."""

    @property
    def name(self) -> str:
        """The format's name, for messages."""
        ...

    def sniff(self, head: Head, options: Options) -> bool:
        """Whether this is the format of that file."""
        ...

    def read(self, backend: Any, head: Head, options: Options) -> Rows:
        """Stage the file's rows; raises ``InputError`` where columns are missing."""
        ...


READERS: Final[tuple[Reader, ...]] = (
    OtelReader(),
    OpenaiUsageReader(),
    AnthropicUsageReader(),
    LangfuseReader(),
    HeliconeReader(),
    AzureReader(),
    BurstGptReader(),
    MooncakeReader(),
    ServeGenReader(),
    LiteLlmReader(),
    BillReader(),
    MappedReader(),
)


def detect(head: Head, options: Options) -> Reader:
    """Return the reader for a file, told by its content."""
    return next(reader for reader in READERS if reader.sniff(head, options))
