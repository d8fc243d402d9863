"""Streams of one protocol as the other's, event by event, at constant work and with bounded memory.

Towards Anthropic (``ChatToMessagesStream``):

- The message begins with the first choice, for some servers (Azure) send an event without one before it knows its id.
- No empty or blank block is begun, every block is ended once, and no two are open at a time; ``calls`` says how
  calls whose pieces come mixed are put in order.  Text that comes after a call began follows the calls.
- Usage stands in ``message_delta``, with the input, for chat completions tell it last; at the start it is 0.
- Comments, which servers send to keep a connection, are dropped.

Towards chat completions (``MessagesToChatStream``):

- Thinking becomes ``reasoning_content``; signatures and redacted thinking are dropped.
- A call without any piece of input has the arguments that came with its block, which are ``{}``, never "".
- Usage of later events replaces that of earlier ones, for it counts from the start.
- A ping becomes a comment, which clients pass over.

Both ways an error event goes over as one, an event that cannot be read or is too long makes one, and a stream without
its terminator gets no end.
"""

from __future__ import annotations

from breakeven.protocols.stream_to_chat import MessagesToChatStream
from breakeven.protocols.stream_to_messages import ChatToMessagesStream

__all__ = ["ChatToMessagesStream", "MessagesToChatStream"]
