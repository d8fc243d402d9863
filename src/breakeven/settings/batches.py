"""``batches:`` of ``breakeven.yaml``: files and batches, and how their lines are drained into idle capacity."""

from typing import Annotated

from pydantic import Field

from breakeven.sources.written import IsNumber, Strict

Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), IsNumber]
Hours = Annotated[float, Field(gt=0, le=720, allow_inf_nan=False), IsNumber]
FileBytes = Annotated[int, Field(ge=1024, le=1 << 40), IsNumber]


class BatchProviderEntry(Strict):
    """A provider whose own batch API may take what is left of a batch at its deadline."""

    target: str = Field(description="Name of a target above; its URL, key and model names are used.")
    hours: Hours = Field(24, description="How long it may take; only batches with so much time left go there.")
    max_requests: Annotated[int, Field(ge=1, le=1_000_000), IsNumber] = Field(
        50_000, description="Most lines of one batch there."
    )
    max_bytes: FileBytes = Field(200_000_000, description="Largest file there.")


class BatchesEntry(Strict):
    """Files and batches, as OpenAI's clients ask for them."""

    slots: Annotated[int, Field(ge=1, le=4096), IsNumber] = Field(
        64, description="Most lines of all batches that are asked at a time."
    )
    max_share: Share = Field(
        0.8, description="Largest part of what a pool runs at a time that batches may take; the rest waits for others."
    )
    hours: Hours = Field(
        24,
        description="How long a batch waits for idle capacity; then its lines go wherever their model may be served.",
    )
    max_file_bytes: FileBytes = Field(2_147_483_648, description="Largest file that may be sent.")
    max_stored_bytes: FileBytes = Field(21_474_836_480, description="Most that is kept of the files of a key or team.")
    max_requests: Annotated[int, Field(ge=1, le=100_000_000), IsNumber] = Field(
        1_000_000, description="Most lines of a batch."
    )
    keep_days: Annotated[int, Field(ge=1, le=3650), IsNumber] = Field(30, description="Days for which files are kept.")
    provider: BatchProviderEntry | None = Field(
        None,
        description="Whose batch API takes what is left at the deadline, where that is cheaper; left out: nobody's.",
    )
