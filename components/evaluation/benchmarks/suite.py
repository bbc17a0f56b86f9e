"""What a benchmark asks to be drawn: its cases, how often each, and in which file each drawing belongs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Language = Literal["en", "zh"]


@dataclass(frozen=True)
class Case:
    """A prompt by a key that no other has; `group` is its task or category, `text` what must be readable ("": none).

    `note` is what the benchmark's own scorer wants to find beside the pictures ("": nothing).
    """

    key: str
    prompt: str
    group: str
    text: str = ""
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A file below the folder of images; with several seeds it is a square grid of drawings, row by row."""

    file: str
    case: Case
    seeds: Sequence[int]
    note_file: str = ""


@dataclass(frozen=True)
class Unscored:
    """A score that is not given, and what it would need."""

    metric: str
    needs: str


@dataclass(frozen=True)
class Suite:
    """A benchmark's cases as its file gave them.

    `published` names the table of published numbers, `num_published` says how many cases they are of. `place` says
    where the drawings of a case belong, given the name of the model and the first seed. `unscored` is what no scorer
    here can judge.
    """

    name: str
    title: str
    language: Language
    cases: Sequence[Case]
    num_images: int
    published: str
    num_published: int
    place: Callable[[Case, str, int], Sequence[Picture]]
    unscored: Sequence[Unscored]

    @property
    def is_whole(self) -> bool:
        """Whether these are as many cases as the published numbers are of."""
        return len(self.cases) == self.num_published

    def pictures(self, model: str, seed: int) -> list[Picture]:
        """Every file that is to be drawn."""
        return [picture for case in self.cases for picture in self.place(case, model, seed)]

    def first(self, limit: int) -> "Suite":
        """The suite with at most `limit` cases, taken in turns from its groups, in the order of the whole."""
        turns: dict[str, int] = {}
        order: list[tuple[int, int]] = []
        for number, case in enumerate(self.cases):
            turns[case.group] = turns.get(case.group, -1) + 1
            order.append((turns[case.group], number))
        chosen = sorted(number for _, number in sorted(order)[:limit])
        return replace(self, cases=[self.cases[number] for number in chosen])
