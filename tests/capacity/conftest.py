"""What is compiled for tests is kept as users have it."""

from breakeven.wiring.kept_code import keep_compiled

keep_compiled()
