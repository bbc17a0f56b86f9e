"""What a captioner gets and gives. All that it gets of strangers is data, and all that it gives is checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

from components.data.captions import WORDS_REASONS, Caption, Language, Words, WordsReason

ModelReason = Literal[
    "invalid_json",
    "wrong_schema",
    "wrong_language",
    "cut_off",
    "undecodable_image",
    "timeout",
    "unreachable",
    "html",
    "wrong_reply",
    "http_429",
    "http_4xx",
    "http_5xx",
]
Reason = WordsReason | ModelReason
MODEL_REASONS: tuple[ModelReason, ...] = get_args(ModelReason)
REASONS: tuple[Reason, ...] = (*(reason for reason in WORDS_REASONS if reason != "empty"), *MODEL_REASONS)


@dataclass(frozen=True)
class Sample:
    """One image to caption: its bytes (empty for a captioner that does not look), its words in every language."""

    sample_id: str
    image: bytes
    words: Mapping[Language, Words]


@dataclass(frozen=True)
class Made:
    """What a captioner made of one sample: its captions, why texts were refused, and what a language model counted."""

    captions: Sequence[Caption] = ()
    refused: Sequence[Reason] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0


@runtime_checkable  # the tests check types at run time
class Captioner(Protocol):
    """One way to caption. `maker` names it with its model and version, in every row that it makes."""

    @property
    def maker(self) -> str:
        """For example `metadata/1` or `vlm/<model>`."""
        ...

    def caption(self, samples: Sequence[Sample]) -> list[Made]:
        """One `Made` per sample, in their order; a sample that it cannot caption has no captions and a reason."""
        ...
