"""What a pool of nodes and the APIs behind it would have done with a trace: times, use, overflow, money.

The trace runs through the simulator three times: with nodes as slow, as fast as is likely, and as fast as the error of
their estimate allows.  What comes out is the range of those three, not a probability.
"""

from breakeven.studies.simulation.question import Goal, Line, Overflow, Question, Reactive, Upkeep
from breakeven.studies.simulation.result import QUANTILES, ClassRun, FlowRun, Hours, LineRun, Run, Simulated, Sweep
from breakeven.studies.simulation.study import simulate, sweep

__all__ = [
    "QUANTILES",
    "ClassRun",
    "FlowRun",
    "Goal",
    "Hours",
    "Line",
    "LineRun",
    "Overflow",
    "Question",
    "Reactive",
    "Run",
    "Simulated",
    "Sweep",
    "Upkeep",
    "simulate",
    "sweep",
]
