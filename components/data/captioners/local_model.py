"""Captioner `transformers`: a vision language model in this process, asked in plain words.

Small local models cannot keep a JSON schema, so each kind is one question, and its answer one text, cleaned and checked
like any stranger's. The network comes in as a function: nothing here knows it.
"""

import hashlib
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from components.data.captioners.answer import AnswerRefusedError, clean_answer
from components.data.captioners.interface import Made, Reason, Sample
from components.data.captions import Caption, Kind, Language, cut_words
from components.data.config import DecodeLimits, LocalVisionModel
from components.data.decode import ImageRejectedError, decode_rgb
from components.data.part_store import current_store

Describe = Callable[[Sequence[UInt8[np.ndarray, "h w 3"]], str], list[str]]
_ANSWERS = pa.schema([("answers", pa.list_(pa.string()))])
_QUESTIONS: dict[tuple[Kind, Language], str] = {
    ("short", "en"): "Describe the picture in one short phrase.",
    ("long", "en"): "Describe the picture in detail.",
    ("short", "zh"): "用一个短语描述这张图。",
    ("long", "zh"): "详细描述这张图。",
}
_MAX_CHARS: dict[str, int] = {"short": 160, "long": 3000}


class LocalCaptioner:
    """Asks `describe`, which is `model`, about the images, a batch at a time; finished batches are kept."""

    def __init__(
        self, model: LocalVisionModel, languages: Sequence[Language], limits: DecodeLimits, describe: Describe
    ) -> None:
        self.maker = f"transformers/{model.model.rstrip('/').rsplit('/', 1)[-1]}"
        self._model, self._limits, self._describe = model, limits, describe
        self._asked: list[tuple[Kind, Language]] = [
            (kind, language) for language, kind in product(languages, ("short", "long"))
        ]

    def caption(self, samples: Sequence[Sample]) -> list[Made]:
        """A short and a long caption of every image in every language, where the model's answers hold."""
        starts = range(0, len(samples), self._model.batch_size)
        return [made for start in starts for made in self._batch(samples[start : start + self._model.batch_size])]

    def _batch(self, samples: Sequence[Sample]) -> list[Made]:
        ids = hashlib.sha256("".join(sample.sample_id for sample in samples).encode()).hexdigest()
        key = {"images": ids, "asked": [list(one) for one in self._asked], **vars(self._model)}
        answers = current_store().table(key, lambda: self._ask(samples)).column("answers").to_pylist()
        return [self._made(of_image) for of_image in answers]

    def _ask(self, samples: Sequence[Sample]) -> pa.Table:
        pixels = [self._decoded(sample) for sample in samples]
        seen = [one for one in pixels if one is not None]
        columns = [iter(self._describe(seen, _QUESTIONS[asked]) if seen else ()) for asked in self._asked]
        rows = [None if one is None else [next(column) for column in columns] for one in pixels]
        return pa.table([pa.array(rows, pa.list_(pa.string()))], schema=_ANSWERS)

    def _decoded(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"] | None:
        try:
            return decode_rgb(sample.image, self._limits)
        except ImageRejectedError:
            return None

    def _made(self, answers: list[str] | None) -> Made:
        if answers is None:
            return Made(refused=["undecodable_image"])
        captions: list[Caption] = []
        refused: list[Reason] = []
        for (kind, language), answer in zip(self._asked, answers, strict=True):
            try:
                text = cut_words(clean_answer(answer, language), _MAX_CHARS[kind])
                captions.append(Caption(kind, language, text))
            except AnswerRefusedError as error:
                refused.append(error.reason)
        return Made(captions, refused)
