"""The pace of a node, corrected by what was measured of deployments like it.

Corrections are known of TTFT and TPOT in a closed loop (``capacity.predict``), not of iterations.  So factors on the
pace's terms are sought with which the simulator's own closed loops, run as those were that it is corrected by, take
the times that are predicted: few factors for several loads, so that it is what iterations cost that is corrected, and
loads between and beyond follow.  Formulas and errors: docs/model.md, Running a trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from breakeven.capacity.likeness import NOISE_RATIO
from breakeven.capacity.loop import closed_loop
from breakeven.capacity.pace import pace_of
from breakeven.capacity.predict import predict
from breakeven.capacity.roofline import requests_that_fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from breakeven.capacity.compiled import Floats, Ints
    from breakeven.capacity.estimate import Deployment
    from breakeven.capacity.loop import Loop
    from breakeven.capacity.pool import Pace
    from breakeven.catalog.roofline import Roofline

LOADS: Final = (4, 16, 64)
"""Clients of the loops: what most measurements span, and no more than the node runs at once."""

REQUESTS_PER_CLIENT: Final = 10
SHORTEST_FRACTION: Final = 0.8
"""As InferenceX measures: ten requests for each client, the first of all clients at once, none left out; lengths even
from 80 % of the stated ones (https://github.com/SemiAnalysisAI/InferenceX, ``benchmarks/``)."""

FACTOR_DEVIATIONS: Final = (0.3, 0.3, 1.0, 1.0)
"""What is believed of the logarithm of each of ``_Factors``, against the noise of the times that are to be met: least
is known of prompts and of requests, since the roofline's TTFT has factors of its own for them."""

_STEPS: Final = 6
_SMALL: Final = 0.02
_ENOUGH: Final = 0.01
_SPREAD: Final = (0.7548776662466927, 0.5698402909980532)
"""Multiples of these, without their whole parts, lie evenly in the square
(https://extremelearning.com.au/unreasonable-effectiveness-of-quasirandom-sequences/)."""


class _Factors(NamedTuple):
    """Of the terms of a pace."""

    fixed: float
    """What an iteration takes however few decode: its base, and reading the weights."""

    each: float
    """What each request and token adds to it."""

    prompt: float
    """The time of prompts."""

    request: float
    """What each request takes beside iterations."""


def corrected_pace(deployment: Deployment, roofline: Roofline, *, isl_tokens: float, osl_tokens: float) -> Pace:
    """Return the pace of a deployment that serves about these lengths, by the roofline and what corrects it.

    As ``pace_of`` where not even a request of these lengths has room.  Raises ``ValueError`` as that does.
    """
    pace = pace_of(deployment, roofline)
    prompt, output = max(1, round(isl_tokens)), max(2, round(osl_tokens))
    if prompt + output > pace.kv_tokens:
        return pace
    case = deployment.case(roofline, isl_tokens=prompt, osl_tokens=output, concurrency_count=1.0)
    most = max(1, int(requests_that_fit(case, roofline)))
    loads = sorted({min(clients, most) for clients in LOADS})
    cases = [
        deployment.case(roofline, isl_tokens=prompt, osl_tokens=output, concurrency_count=float(clients))
        for clients in loads
    ]
    wanted = predict(cases, roofline)
    times = np.log(np.stack([wanted.ttft_s, wanted.tpot_s]))
    noise = np.array([[NOISE_RATIO["ttft"]], [NOISE_RATIO["tpot"]]])

    def misses(logs: Floats) -> Floats:
        tried = _scaled(pace, _Factors(*np.exp(logs).tolist()))
        loops = [as_measured(tried, prompt, output, clients) for clients in loads]
        found = np.log([[loop.ttft_s for loop in loops], [loop.tpot_s for loop in loops]])
        return np.concatenate([((found - times) / noise).ravel(), logs / np.array(FACTOR_DEVIATIONS)])

    return _scaled(pace, _Factors(*np.exp(_least_squares(misses, len(FACTOR_DEVIATIONS))).tolist()))


def as_measured(pace: Pace, isl_tokens: int, osl_tokens: int, clients: int) -> Loop:
    """Run a closed loop as the benchmark does whose measurements correct the pace; its first requests count."""
    count = REQUESTS_PER_CLIENT * clients
    lengths = _spread(isl_tokens, _SPREAD[0], count), _spread(osl_tokens, _SPREAD[1], count)
    return closed_loop(pace, lengths, clients, warm_up=0)


def _spread(tokens: int, step: float, count: int) -> Ints:
    """Return so many lengths, evenly between the shortest and the stated one."""
    shares = np.arange(1, count + 1) * step % 1.0
    lengths = np.rint(tokens * (SHORTEST_FRACTION + (1 - SHORTEST_FRACTION) * shares))
    return np.asarray(np.maximum(1, lengths).astype(np.int64))


def _scaled(pace: Pace, factors: _Factors) -> Pace:
    return pace._replace(
        base_s=pace.base_s * factors.fixed,
        weights_s=pace.weights_s * factors.fixed,
        sequence_s=pace.sequence_s * factors.each,
        token_s=pace.token_s * factors.each,
        link_token_s=pace.link_token_s * factors.each,
        kv_token_s=pace.kv_token_s * factors.each,
        # Prompts share the products of a token with decoding, and take their own factor instead of its.
        prompt_ratio=pace.prompt_ratio * factors.prompt / factors.each,
        pair_s=pace.pair_s * factors.each,
        request_s=pace.request_s * factors.request,
    )


def _least_squares(misses: Callable[[Floats], Floats], count: int) -> Floats:
    """Return the arguments with the least squares from 0 on, by Gauss and Newton, with steps halved that do not help.

    Differences are taken over ``_SMALL``: of two paces that differ by less, prompts may share iterations unalike.
    """
    found = np.zeros(count)
    values = misses(found)
    for _ in range(_STEPS):
        slopes = np.stack([(misses(found + _SMALL * axis) - values) / _SMALL for axis in np.eye(count)], axis=1)
        step = -np.linalg.solve(slopes.T @ slopes, slopes.T @ values)
        after = misses(found + step)
        while after @ after > values @ values and np.abs(step).max() > _ENOUGH:
            step = step / 2
            after = misses(found + step)
        if not after @ after < values @ values:
            break
        found, values = found + step, after
        if np.abs(step).max() < _ENOUGH:
            break
    return found
