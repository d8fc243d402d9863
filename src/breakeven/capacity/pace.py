"""How fast a node is, iteration by iteration: the roofline's terms in the form in which the simulator takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from breakeven.capacity.pool import Pace
from breakeven.capacity.roofline import iteration_terms, requests_that_fit, work_of

if TYPE_CHECKING:
    from breakeven.capacity.estimate import Deployment
    from breakeven.catalog.roofline import Roofline

CHUNK_TOKENS: Final = 8192
"""Of an iteration, prompts included: what vLLM takes on data-centre GPUs when it serves
(https://docs.vllm.ai/en/latest/configuration/optimization.html)."""

LENGTH_TOKENS: Final = 2048
"""At which terms that grow with length are read off; those of sliding windows grow less beyond."""

_MOST_TOUCHING_TOKENS: Final = 4096
"""Of an iteration; by then all experts are read."""


def pace_of(deployment: Deployment, roofline: Roofline) -> Pace:
    """Return the pace of a deployment as the roofline says, before any measurement corrects it.

    The cache has whole tokens.  Raises ``ValueError`` where not even one request of ``LENGTH_TOKENS`` fits.
    """
    case = deployment.case(roofline, isl_tokens=LENGTH_TOKENS, osl_tokens=1, concurrency_count=1)
    limits = roofline.engine_limits(deployment.engine)
    fit = requests_that_fit(case, roofline, unbounded=True)
    if fit < 1:
        raise ValueError(f"a request of {LENGTH_TOKENS:,} tokens does not fit")
    tokens = np.arange(_MOST_TOUCHING_TOKENS + 1 if case.architecture.is_mixture else 2, dtype=float)
    terms = iteration_terms(work_of([case], roofline), roofline.rates, [roofline.engine_rates(case.engine)], tokens)
    return Pace(
        base_s=terms.base_s,
        sequence_s=terms.sequence_s,
        token_s=terms.token_s,
        link_token_s=terms.link_token_s,
        kv_token_s=terms.kv_s / LENGTH_TOKENS,
        pair_s=terms.prompt_attend_s / (LENGTH_TOKENS**2 / 2),
        prompt_ratio=terms.prompt_ratio,
        weights_s=terms.weights_s,
        kv_tokens=int(fit * (LENGTH_TOKENS + 0.5)),
        max_requests=int(limits.max_requests),
        chunk_tokens=CHUNK_TOKENS,
        reserves_output=bool(limits.reserves_output),
        request_s=roofline.rates.first_token_us * 1e-6,
    )
