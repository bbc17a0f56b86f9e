"""What became of an expectation, and the one line that stops a chain. Great Expectations is not needed to say it."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.data.errors import DataError


class QualityError(DataError):
    """Tables that do not keep what is expected of them; one line names each failed expectation and what to do."""


@dataclass(frozen=True)
class Outcome:
    """One expectation after it was judged."""

    suite: str
    expectation: str
    passed: bool
    observed: str
    allowed: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.suite}: {self.expectation}: observed {self.observed}, allowed {self.allowed}; {self.remedy}"


def require_passed(outcomes: Sequence[Outcome]) -> None:
    """QualityError that names every failed expectation, in one line, unless all passed."""
    failed = [str(outcome) for outcome in outcomes if not outcome.passed]
    if failed:
        counts = f"{len(failed)} of {len(outcomes)} expectations failed (see data_docs in this stage's MLflow run)"
        raise QualityError(f"{counts}: {' | '.join(failed)}")
