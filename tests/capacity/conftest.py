"""What is compiled for tests is kept as users have it."""

from breakeven.wiring.simulate import keep_compiled

keep_compiled()
