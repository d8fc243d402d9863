"""From one provider's protocol to another's: chat completions and Anthropic's messages, both ways.

Used only where a route must cross; what need not cross goes through byte for byte.  Pure: bytes in, bytes out.
"""

from __future__ import annotations


class UntranslatableError(ValueError):
    """What was given has no counterpart in the other protocol; ``str()`` says which field, why and what to do."""
