"""What values of config keys may be: the words in which the tables beside the keys are written.

Numbers are finite; True and False are no numbers, and no text stands for one.
"""

from collections.abc import Callable
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import AfterValidator, AllowInfNan, Strict
from pydantic_core import PydanticCustomError


def that(holds: Callable[[Any], bool], words: str) -> AfterValidator:
    """A condition on a value of the right type; `words` say what is allowed, beginning with "must"."""

    def check(value: Any) -> Any:
        if not holds(value):
            raise PydanticCustomError("range", words)
        return value

    return AfterValidator(check)


Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict()]
Name = Annotated[Text, Len(1)]
Names = tuple[Name, ...]

Whole = Annotated[int, Strict(), that(lambda value: abs(value) < 2**63, "must have at most 63 bits")]
CountOrNone = Annotated[Whole, Ge(0)]  # 0 turns something off
Count = Annotated[Whole, Ge(1)]
Counts = Annotated[tuple[Count, ...], Len(1)]
Size = tuple[Count, Count]
SizeOrNone = Annotated[tuple[Count, ...], that(lambda value: len(value) in (0, 2), "must be a pair, or () for none")]

Number = Annotated[float, Strict(), AllowInfNan(False)]
NonNegative = Annotated[Number, Ge(0)]
Positive = Annotated[Number, Gt(0)]
Share = Annotated[Number, Ge(0), Le(1)]
ShareBelowOne = Annotated[Number, Ge(0), Lt(1)]
PositiveShare = Annotated[Number, Gt(0), Le(1)]
# A negative number turns something off or leaves it to another key.
ShareOrNone = Annotated[Number, Le(1)]

PerChannel = tuple[Number, Number, Number]
