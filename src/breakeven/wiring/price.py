"""``python -m breakeven.wiring.price PROVIDER:MODEL``: one price list as JSON on standard output.

A process of its own, asked once per new model name: looking prices up takes 55 MB that the gateway does not
have to carry.  Exit code 3, and nothing on standard output, when no price is known.
"""

from __future__ import annotations

import sys

import msgspec

UNKNOWN_NAME = 3
"""Exit code for a name without a price."""


def main(arguments: list[str]) -> int:
    """Print the price list of the one name given."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m breakeven.wiring.price PROVIDER:MODEL\n")
        return 2
    from breakeven.settings.prices import named_price_list

    found = named_price_list(arguments[0], {})
    if found is None:
        return UNKNOWN_NAME
    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
