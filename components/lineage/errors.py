"""How the ledger refuses, and how a check names what does not hold."""

from dataclasses import dataclass


class LedgerError(ValueError):
    """The ledger cannot do what it was asked, or is not what it was; one line says what, where and what to do."""


@dataclass(frozen=True)
class Fault:
    """The first thing that does not hold.

    Args:
        place: the file (of the ledger, or of a model) that is wrong.
        message: what is wrong with it, in one line.
    """

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"
