"""What an objective says of a batch."""

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Outcome:
    """`terms`, whose sum is minimised, and `measures`, which are only looked at; all are means over the batch."""

    terms: dict[str, Float[Tensor, ""]]
    measures: dict[str, Float[Tensor, ""]] = field(default_factory=dict[str, Float[Tensor, ""]])

    @property
    def total(self) -> Float[Tensor, ""]:
        """The sum of the terms."""
        first, *others = self.terms.values()
        return sum(others, start=first)
