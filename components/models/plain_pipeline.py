"""An exported pipeline as it is drawn with here: without its prompt enhancer, which has no guards in there."""

from pathlib import Path

import transformers
from diffusers import ErnieImagePipeline
from diffusers.utils import logging as diffusers_logging


def load_plain_pipeline(directory: Path) -> ErnieImagePipeline:
    """The pipeline in `directory` that draws prompts as they are; its enhancer is not even read.

    Neither are progress bars shown, nor the known complaint about the text encoder's class.
    """
    transformers.utils.logging.disable_progress_bar()
    diffusers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    without = {"pe": None, "pe_tokenizer": None}
    pipeline = ErnieImagePipeline.from_pretrained(directory, **without, use_safetensors=True, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
