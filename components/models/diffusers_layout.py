"""The export as stock diffusers reads it: `ErnieImagePipeline.from_pretrained(directory)` needs no code of ours.

The text encoder is a BertModel in the place of the released Ministral: the pipeline only asks it for
`hidden_states[-2]`, and its tokenizer adds [CLS] and [SEP], so the empty prompt has two tokens and no BOS is needed.
Loading logs one line about the unexpected class, which is harmless.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers import ErnieImagePipeline, FlowMatchEulerDiscreteScheduler
from diffusers.utils import logging as diffusers_logging
from PIL.Image import Image

from components.models.autoencoder import load_autoencoder
from components.models.text_encoder import load_text_model
from components.models.transformer import load_transformer


def build_scheduler(shift: float) -> FlowMatchEulerDiscreteScheduler:
    """Euler steps along sigma = shift u / (1 + (shift - 1) u); the shift does not depend on the image's size."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift, use_dynamic_shifting=False)


def write_pipeline(out: Path, *, transformer_dir: Path, autoencoder_dir: Path, shift: float) -> ErnieImagePipeline:
    """Save transformer, autoencoder, the frozen text encoder and scheduler in `out` as one pipeline, and return it.

    Weights are float32 and safetensors only. The same parts give the same bytes on any machine, in any folder.
    """
    tokenizer, text_encoder = load_text_model()
    # The annotations of diffusers name the released model's classes; the pipeline itself asks less of them.
    text_parts: dict[str, Any] = {"text_encoder": text_encoder, "tokenizer": tokenizer}
    pipeline = ErnieImagePipeline(
        transformer=load_transformer(transformer_dir),
        vae=load_autoencoder(autoencoder_dir),
        **text_parts,
        scheduler=build_scheduler(shift),
        # No prompt enhancer: with both parts empty the pipeline's `use_pe=True` default does nothing.
        pe=None,
        pe_tokenizer=None,
    )
    for part in (pipeline.transformer, pipeline.vae):
        part.register_to_config(_name_or_path="")  # diffusers would save the folder that it was loaded from
    pipeline.save_pretrained(out, safe_serialization=True)
    return pipeline


# Run by an isolated interpreter: what a stranger with stock diffusers does with the directory, and nothing of ours.
STRANGER = """
import json, sys
import torch
from diffusers import ErnieImagePipeline

directory, prompt, side_px, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
pipeline = ErnieImagePipeline.from_pretrained(directory)
pipeline.set_progress_bar_config(disable=True)
options = dict(height=side_px, width=side_px, num_inference_steps=steps, output_type="np")
image = pipeline(prompt, generator=torch.Generator().manual_seed(0), **options).images[0]
ours = sorted({name.split(".")[0] for name in sys.modules} & {"components", "flows"})
facts = dict(shape=list(image.shape), finite=bool((image == image).all()), std=float(image.std()), ours=ours)
print(json.dumps(facts))
"""


def check_as_stranger(directory: Path, *, prompt: str, side_px: int, num_sampling_steps: int) -> float:
    """Load the pipeline in a separate interpreter without this project, draw an image, return its standard deviation.

    Raises:
        ValueError: with the interpreter's last line, if no image of the right size with finite pixels comes out.
    """
    arguments = [str(directory.resolve()), prompt, str(side_px), str(num_sampling_steps)]
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, *arguments], capture_output=True, text=True, check=False
    )
    last = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()[-1:]
    if done.returncode != 0:
        raise ValueError(f"stock diffusers cannot use the export in {directory}: {' '.join(last)}")
    facts = json.loads(last[0])
    if facts["shape"] != [side_px, side_px, 3] or not facts["finite"] or facts["ours"]:
        raise ValueError(f"stock diffusers draws no proper image from {directory}: {facts}")
    return float(facts["std"])


def load_pipeline(directory: Path) -> ErnieImagePipeline:
    """The pipeline in `directory`, without the progress bars and the known complaint about the text encoder's class."""
    transformers.utils.logging.disable_progress_bar()
    diffusers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    pipeline = ErnieImagePipeline.from_pretrained(directory, use_safetensors=True, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(
    pipeline: ErnieImagePipeline,
    prompt: str,
    *,
    width_px: int,
    height_px: int,
    num_sampling_steps: int,
    guidance_scale: float,
    seed: int,
) -> Image:
    """One image; ValueError if the prompt has more tokens than the text encoder reads (it would be cut silently)."""
    tokenizer = pipeline.tokenizer
    num_tokens, limit = len(tokenizer(prompt, truncation=False, verbose=False)["input_ids"]), tokenizer.model_max_length
    if num_tokens > limit:
        raise ValueError(f"the prompt has {num_tokens} tokens, the model reads {limit}; shorten it")
    (images,) = pipeline(
        prompt,
        width=width_px,
        height=height_px,
        num_inference_steps=num_sampling_steps,
        guidance_scale=guidance_scale,
        generator=torch.Generator().manual_seed(seed),
        return_dict=False,
    )
    return images[0]
