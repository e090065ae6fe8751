"""A section of params.yaml, and the kinds of values that several sections share.

The docstring under a key is its description.
The comment in params.yaml and the entry in docs/configuration.md are made from it.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Ratio = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Degrees = Annotated[float, Field(ge=0, le=180)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]  # no dot: names are parts of dotted keys
ByBudget = Count | dict[Name, Count]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)
