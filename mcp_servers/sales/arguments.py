"""The types of the tools' arguments."""

from pydantic import BaseModel, ConfigDict, Field

Filters = dict[str, list[str]]


class Period(BaseModel):
    """A stretch of time, both ends included."""

    model_config = ConfigDict(extra="forbid")

    start: str = Field(description="first month (2024-01), quarter (2024-Q1) or year (2024)", examples=["2024-01"])
    end: str = Field(description="last month, quarter or year, itself included", examples=["2024-12"])
