"""``semantic_cache:`` of ``breakeven.yaml``: tasks whose answers may be given again to questions that mean the same."""

from typing import Annotated, Literal

from pydantic import Field

from breakeven.settings.fields import Label
from breakeven.sources.written import IsNumber, Strict

Similarity = Annotated[float, Field(ge=0.5, le=1, allow_inf_nan=False), IsNumber]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False), IsNumber]


class SemanticTaskEntry(Strict):
    """When an answer of one task may be given again to a question that means the same."""

    similarity: Similarity = Field(
        0.95, description="Cosine between the vectors of two questions from which they may be the same."
    )
    most_false_hits: Annotated[float, Field(ge=0.0001, le=0.5, allow_inf_nan=False), IsNumber] = Field(
        0.01, description="Share of hits that may be false; no answer is given again before the checks show less."
    )
    checked_share: Annotated[float, Field(ge=0.001, le=1, allow_inf_nan=False), IsNumber] = Field(
        0.05, description="Share of hits that are sent and checked all the same once answers are given again."
    )
    ttl_s: Seconds = Field(3600, description="How long an answer may be given again.")
    same_answer: Literal["equal", "similar"] = Field(
        "equal",
        description="When a check finds two answers the same: equal: but for case, blanks and the order of keys in "
        "JSON; similar: also where their vectors are alike and their numbers equal.",
    )
    answer_similarity: Similarity = Field(
        0.97, description="Cosine between two answers from which they are the same, under same_answer: similar."
    )


class SemanticCacheEntry(Strict):
    """Answers that are given again to questions that mean the same, of the same key, once that was measured to hold."""

    embeddings: str = Field(
        min_length=1, max_length=256, description="Model of this file that turns questions into vectors."
    )
    tasks: dict[Label, SemanticTaskEntry] = Field(
        min_length=1, max_length=1000, description="By task, as requests name it in the header x-breakeven-task."
    )
    max_entries: Annotated[int, Field(ge=1, le=1_000_000), IsNumber] = Field(
        10_000, description="Most questions that are kept, per worker; the one used longest ago leaves first."
    )
    max_bytes: Annotated[int, Field(ge=65_536, le=1 << 36), IsNumber] = Field(
        134_217_728, description="Of all of them, their vectors included, per worker."
    )
    timeout_s: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False), IsNumber] = Field(
        0.5, description="Within which a vector must come; else the request is sent as if there were no such cache."
    )
