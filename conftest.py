"""What holds for every process of the tests: one thread each, and what one has compiled the others need not.

It stands here since ``tests/traffic/conftest.py`` has the name that it would have in ``tests``.
"""

from __future__ import annotations

from breakeven.wiring.kept_code import keep_compiled
from breakeven.wiring.one_thread import one_thread

one_thread()  # before numpy is imported, as by the next line
keep_compiled()
