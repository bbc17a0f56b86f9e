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
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor

from components.models.autoencoder import load_autoencoder
from components.models.text_encoder import load_text_model
from components.models.training_record import StatedSampling, TrainingRecord
from components.models.transformer import load_transformer

SAMPLING_FILE = "sampling.json"
"""How a few-step model is drawn, by the names of the pipeline's own arguments; diffusers leaves the file alone."""


def build_scheduler(shift: float) -> FlowMatchEulerDiscreteScheduler:
    """Euler steps along sigma = shift u / (1 + (shift - 1) u); the shift does not depend on the image's size."""
    return FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift, use_dynamic_shifting=False)


def exported_time_grid(num_sampling_steps: int, shift: float) -> Float[Tensor, " points"]:
    """The times that stock `ErnieImagePipeline` visits with the exported scheduler, from 1 to 0."""
    scheduler = build_scheduler(shift)
    scheduler.set_timesteps(sigmas=torch.linspace(1.0, 0.0, num_sampling_steps + 1)[:-1].tolist())
    return torch.as_tensor(scheduler.sigmas)


def write_pipeline(out: Path, *, model_dir: Path, autoencoder_dir: Path, record: TrainingRecord) -> ErnieImagePipeline:
    """Save transformer, autoencoder, the frozen text encoder and scheduler in `out` as one pipeline, and return it.

    Weights are float32 and safetensors only. The same parts give the same bytes on any machine, in any folder. How a
    distilled model is drawn is written beside it.
    """
    tokenizer, text_encoder = load_text_model()
    # The annotations of diffusers name the released model's classes; the pipeline itself asks less of them.
    text_parts: dict[str, Any] = {"text_encoder": text_encoder, "tokenizer": tokenizer}
    pipeline = ErnieImagePipeline(
        transformer=load_transformer(model_dir / "transformer"),
        vae=load_autoencoder(autoencoder_dir),
        **text_parts,
        scheduler=build_scheduler(record.shift),
        # No prompt enhancer: with both parts empty the pipeline's `use_pe=True` default does nothing.
        pe=None,
        pe_tokenizer=None,
    )
    for part in (pipeline.transformer, pipeline.vae):
        part.register_to_config(_name_or_path="")  # diffusers would save the folder that it was loaded from
    pipeline.save_pretrained(out, safe_serialization=True)
    if few_steps := record.few_steps:
        stated = {"num_inference_steps": few_steps.num_steps, "guidance_scale": few_steps.guidance_scale}
        (out / SAMPLING_FILE).write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
    return pipeline


def stated_few_steps(directory: Path) -> StatedSampling | None:
    """How the model in `directory` says it is drawn, None where it leaves that open; ValueError for nonsense."""
    file = directory / SAMPLING_FILE
    if not file.is_file():
        return None
    try:
        stated = json.loads(file.read_text(encoding="utf-8"))
        return StatedSampling(int(stated["num_inference_steps"]), float(stated["guidance_scale"]))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{file} does not say how the model is drawn ({error}); export it again") from None


# Run by an isolated interpreter: what a stranger with stock diffusers does with the directory, and nothing of ours.
STRANGER = """
import json, sys
import torch
from diffusers import ErnieImagePipeline

directory, prompt, side_px, options = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
pipeline = ErnieImagePipeline.from_pretrained(directory)
pipeline.set_progress_bar_config(disable=True)
options |= dict(height=side_px, width=side_px, output_type="np")
image = pipeline(prompt, generator=torch.Generator().manual_seed(0), **options).images[0]
ours = sorted({name.split(".")[0] for name in sys.modules} & {"components", "flows"})
facts = dict(shape=list(image.shape), finite=bool((image == image).all()), std=float(image.std()), ours=ours)
print(json.dumps(facts))
"""


def check_as_stranger(directory: Path, *, prompt: str, side_px: int, num_sampling_steps: int) -> float:
    """Load the pipeline in a separate interpreter without this project, draw an image, return its standard deviation.

    A few-step model is drawn exactly as it says, any other in `num_sampling_steps` with diffusers' own guidance.

    Raises:
        ValueError: with the interpreter's last line, if no image of the right size with finite pixels comes out.
    """
    stated = directory / SAMPLING_FILE
    options = (
        stated.read_text(encoding="utf-8") if stated.is_file() else f'{{"num_inference_steps": {num_sampling_steps}}}'
    )
    arguments = [str(directory.resolve()), prompt, str(side_px), options]
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


def load_pipeline(directory: Path, *, enhancer: bool = False) -> ErnieImagePipeline:
    """The pipeline in `directory`, without the progress bars and the known complaint about the text encoder's class.

    Its prompt enhancer, which has no guards in there, is not read unless `enhancer`.
    """
    transformers.utils.logging.disable_progress_bar()
    diffusers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    left_out = {} if enhancer else {"pe": None, "pe_tokenizer": None}
    pipeline = ErnieImagePipeline.from_pretrained(directory, **left_out, use_safetensors=True, local_files_only=True)
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
