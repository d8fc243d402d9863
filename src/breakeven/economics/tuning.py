"""What training costs: the operations of a run, and the GPU-hours that they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.quantities import SECONDS_PER_HOUR

if TYPE_CHECKING:
    from breakeven.quantities import Number

OPERATIONS_PER_PARAMETER: Final = 6
"""Operations to train one token on one parameter: two forward, four backward (Kaplan et al. 2020, arXiv 2001.08361)."""


def training_gpu_hours(
    training_tokens: float, *, active_parameters: float, gpu_tflops: float, utilisation_fraction: Number
) -> Number:
    """Return the GPU-hours of a training run over that many tokens, epochs counted.

    6 x parameters x tokens / (peak operations/s x utilisation) / 3600.  An adapter's run is counted as a whole one:
    its frozen weights save the optimiser's memory, and up to a third of the operations.
    """
    operations = OPERATIONS_PER_PARAMETER * active_parameters * training_tokens
    return operations / (gpu_tflops * 1e12 * utilisation_fraction) / SECONDS_PER_HOUR
