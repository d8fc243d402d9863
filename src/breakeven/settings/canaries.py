"""``canary:`` of a pool: a golden prompt for its nodes, and the command that starts one afresh."""

from typing import Annotated

from pydantic import Field

from breakeven.settings.schedules import Command
from breakeven.sources.written import IsNumber, Strict


class CanaryEntry(Strict):
    """What the nodes of a pool are asked from time to time, and what is done when answers get worse."""

    prompt: str = Field(min_length=1, max_length=4096, description="Golden prompt, asked as a chat, greedily.")
    expect: str | None = Field(
        None,
        min_length=1,
        max_length=1024,
        description="What a good answer holds; left out: an answer must begin as the node's first one did.",
    )
    every_s: Annotated[float, Field(ge=0.1, le=86_400, allow_inf_nan=False), IsNumber] = Field(
        60, description="How often each node is asked."
    )
    restart: Command | None = Field(
        None,
        description="Command that starts a degraded node afresh, as a list; {pool} and {node} stand for its names.",
    )
    timeout_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False), IsNumber] = Field(
        1800, description="How long the command may take."
    )
