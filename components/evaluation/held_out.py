"""The held-out prompts and what belongs to them: token states, and pixels of the real images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from components.data.config import DecodeLimits
from components.data.decode import decode_square
from components.data.errors import DataError
from components.data.latents import LatentStore
from components.data.prompts import Prompt
from components.data.records import CATALOGUE, read_images, read_table, take_ids
from components.evaluation.suite import Question

CREDITS = pa.schema([CATALOGUE.field("sample_id"), CATALOGUE.field("attribution")])
TRAIN = "train"
HELD_OUT = ("heldout_cell", "heldout_concept")


def read_prompts(store: LatentStore, caption_kind: str) -> dict[str, list[Prompt]]:
    """For each split, training too, its drawings with the caption of `caption_kind` that asks for each.

    Clip art has no concept and is in no held-out split; it is left out of the training split here as well, because it
    would be a reference for nothing that is asked.
    """
    if caption_kind not in store.captions:
        raise DataError(
            f"no captions of kind {caption_kind!r} were encoded (there: {', '.join(store.captions)}); "
            "change evaluate.caption_kind or encode.caption_kinds"
        )
    prompts: dict[str, list[Prompt]] = {}
    for row, number in zip(store.rows.to_pylist(), store.captions[caption_kind].tolist(), strict=True):
        if row["concept"] and number >= 0:
            names = {name: row[name] for name in ("sample_id", "split", "style", "category", "concept")}
            prompt = Prompt(**names, text=str(store.prompts[number]), text_number=number)
            prompts.setdefault(prompt.split, []).append(prompt)
    for split in (TRAIN, *HELD_OUT):
        if len(prompts.get(split, ())) < 2:
            raise DataError(
                f"split {split!r} has fewer than 2 captioned drawings; change the shares in sample's parameters"
            )
    return prompts


def states_of(store: LatentStore, text_number: int) -> Float[Tensor, "_ d"]:
    """The token states of a text, in float32."""
    return torch.from_numpy(store.texts.of(text_number).astype(np.float32))


def pooled_texts(store: LatentStore, prompts: Sequence[Prompt]) -> Float[np.ndarray, "n d"]:
    """The mean token state of each prompt, in float32."""
    return np.stack([store.texts.of(prompt.text_number).astype(np.float32).mean(axis=0) for prompt in prompts])


def read_squares(
    images_dir: Path, prompts: Sequence[Prompt], px: int, limits: DecodeLimits
) -> UInt8[np.ndarray, "n px px 3"]:
    """The prompts' real images as `px` by `px` squares on white, in order."""
    table = read_images(images_dir, [prompt.sample_id for prompt in prompts])
    return np.stack([decode_square(data.as_py(), px, limits) for data in table.column("bytes")])


def read_credits(catalogue_file: Path, questions: Sequence[Question], num_examples: int) -> list[str]:
    """The attributions of the real images of each question's first prompts: their authors must be named (CC-BY)."""
    prompts = [prompt for question in questions for prompt in question.prompts[:num_examples]]
    sample_ids = [prompt.sample_id for prompt in prompts if prompt.sample_id]
    table = take_ids(read_table(catalogue_file, CREDITS), sample_ids, catalogue_file)
    return sorted({text for text in table.column("attribution").to_pylist() if text})
