"""The held-out prompts and the pixels behind samples, read from the pipeline's tables."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from components.data.config import DecodeLimits
from components.data.decode import decode_square
from components.data.errors import DataError
from components.data.records import CAPTIONS, SELECTION, read_images, read_table
from components.evaluation.prompts import Prompt

CAPTION_KIND = "sentence"
TRAIN = "train"


def read_prompts(selection_file: Path, captions_file: Path) -> dict[str, list[Prompt]]:
    """For each split (training too) its drawings with the English sentence that asks for each.

    Clip art has no concept and is in no held-out split; it is left out of the training split here as well, because it
    would be a reference for nothing that is asked.
    """
    captions = read_table(captions_file, CAPTIONS)
    texts = {
        row["sample_id"]: row["text"]
        for row in captions.to_pylist()
        if row["kind"] == CAPTION_KIND and row["language"] == "en"
    }
    prompts: dict[str, list[Prompt]] = {}
    for row in read_table(selection_file, SELECTION).to_pylist():
        if row["concept"] and row["sample_id"] in texts:
            prompt = Prompt(
                row["sample_id"], row["split"], row["style"], row["category"], row["concept"], texts[row["sample_id"]]
            )
            prompts.setdefault(prompt.split, []).append(prompt)
    if set(prompts) <= {TRAIN}:
        raise DataError(f"{selection_file}: no held-out drawing with an English sentence; nothing could be evaluated")
    return prompts


def read_squares(
    images_dir: Path, sample_ids: Sequence[str], px: int, limits: DecodeLimits
) -> UInt8[np.ndarray, "n px px 3"]:
    """The samples' images as `px` by `px` squares on white, in the order of `sample_ids`."""
    table: pa.Table = read_images(images_dir, list(sample_ids))
    return np.stack([decode_square(data.as_py(), px, limits) for data in table.column("bytes")])
