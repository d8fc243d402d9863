"""``schedule:`` of a pool: the hours in which its nodes are up, and the commands that bring them up and down."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from breakeven.routing.timetable import read_timetable
from breakeven.sources.written import IsNumber, Strict

Command = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=4096)], ...], Field(min_length=1, max_length=64)
]


class ScheduleEntry(Strict):
    """When the nodes of a pool are up, and how they get there."""

    hours: str = Field(
        min_length=1, max_length=1024, description="Days and hours, such as Mon-Fri 08-20, Sat 10:00-14:30."
    )
    time_zone: str = Field("UTC", max_length=64, description="Time zone of the hours, such as Europe/Berlin.")
    start: Command = Field(description="Command that starts a node, as a list; {pool} and {node} stand for its names.")
    stop: Command = Field(description="Command that stops it.")
    timeout_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False), IsNumber] = Field(
        1800, description="How long a command may take."
    )

    @model_validator(mode="after")
    def _is_timetable(self) -> Self:
        read_timetable(self.hours, self.time_zone)
        return self
