"""The text of an answer that has passed so far, kept so that another target can go on where one broke off.

Only plain text can be continued: one answer, of text alone, that has not ended.  Whatever else is seen to pass makes
the answer one that cannot be, and that is never taken back.
"""

from __future__ import annotations

from typing import Final

MOST_KEPT_BYTES: Final = 1 << 20
"""Most text that is kept of an answer; a longer one cannot be continued."""


class KeptText:
    """The visible text of one answer."""

    __slots__ = ("_blocked", "_kept_bytes", "_lines", "_parts", "_reasoned")

    def __init__(self) -> None:
        """Nothing has passed yet."""
        self._parts: list[str] = []
        self._lines: list[bytes] = []
        """Pieces behind those, as they came, with a line feed after each: only of an answer that breaks off does
        anybody read them."""

        self._kept_bytes = 0
        self._reasoned = False
        self._blocked = False

    @property
    def begun(self) -> bool:
        """Whether any text has passed."""
        return bool(self._lines or self._parts)

    @property
    def continuable(self) -> bool:
        """Whether another answer that begins with this text would be the same as far as it went.

        Reasoning that led to no text yet cannot be: it would be lost.  That before the text has done its work.
        """
        self._read()
        return not self._blocked and not (self._reasoned and not self._parts)

    def text(self) -> str:
        """Return all the text that was kept."""
        self._read()
        return "".join(self._parts)

    def add(self, text: str) -> None:
        """Keep the next piece of the answer's text."""
        if not text:
            return
        self._read()
        self._kept_bytes += len(text)
        if self._kept_bytes <= MOST_KEPT_BYTES:
            self._parts.append(text)
        else:
            self._blocked = True

    def add_lines(self, lines: bytes) -> None:
        """Keep the next pieces, a line each, as they stood between the quotes of a JSON text, without escapes."""
        self._kept_bytes += len(lines)
        if self._kept_bytes <= MOST_KEPT_BYTES:
            self._lines.append(lines)
        else:
            self._blocked = True

    def add_reasoning(self) -> None:
        """Note that the model has reasoned; after text that would be a second part of the answer."""
        self._reasoned = True
        self._blocked |= self.begun

    def block(self) -> None:
        """Note that something has passed that cannot be continued."""
        self._blocked = True

    def _read(self) -> None:
        """Read what was kept as it came."""
        for raw in b"".join(self._lines).splitlines():
            try:
                text = raw.decode()
            except UnicodeDecodeError:
                self._blocked = True
                continue
            if not text.isprintable() and min(text) < " ":
                self._blocked = True  # A control character: that was no JSON.
            else:
                self._parts.append(text)
        self._lines.clear()
