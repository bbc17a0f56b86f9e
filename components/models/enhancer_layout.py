"""The prompt enhancer inside an exported pipeline: `pe/` and `pe_tokenizer/`, where stock diffusers looks for them.

`ErnieImagePipeline` rewrites a prompt with them before it draws, unless it is called with `use_pe=False`. It knows no
guards: what the language model writes is what is drawn.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from diffusers import ErnieImagePipeline
from transformers import AutoTokenizer

from components.models.language_model import load_language_model

MODEL, TOKENIZER = "pe", "pe_tokenizer"
NEEDED = (
    f"{MODEL}/config.json",
    f"{MODEL}/*.safetensors",
    f"{TOKENIZER}/tokenizer.json",
    f"{TOKENIZER}/tokenizer_config.json",
    f"{TOKENIZER}/chat_template.jinja",
)


def add_enhancer(pipeline: ErnieImagePipeline, out: Path, enhancer_dir: Path) -> int:
    """Copy the enhancer into `out`, where `pipeline` was saved, name it in `model_index.json`; returns its parameters.

    Its files stay as they were trained, byte for byte; ValueError names those that are missing.
    """
    missing = [name for name in NEEDED if not list(enhancer_dir.glob(name))]
    if missing:
        raise ValueError(f"no prompt enhancer in {enhancer_dir}: it lacks {', '.join(missing)}; train it again")
    model = load_language_model(enhancer_dir / MODEL)
    tokenizer = AutoTokenizer.from_pretrained(enhancer_dir / TOKENIZER, local_files_only=True)
    pipeline.register_modules(**{MODEL: model, TOKENIZER: tokenizer})
    pipeline.save_config(out)
    for name in (MODEL, TOKENIZER):
        shutil.copytree(enhancer_dir / name, out / name)
    return model.num_parameters()


@dataclass(frozen=True)
class Rewriting:
    """What a stranger's `use_pe=True` made of a prompt, and the standard deviation of the image it drew of it."""

    prompt: str
    revised: str
    pixel_std: float


# Run by an isolated interpreter, with stock diffusers and nothing of ours.
STRANGER = """
import json, sys
import torch
from diffusers import ErnieImagePipeline

directory, prompt, side_px, num_steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
pipeline = ErnieImagePipeline.from_pretrained(directory)
pipeline.set_progress_bar_config(disable=True)
torch.manual_seed(0)  # the words are drawn from the global generator
options = dict(height=side_px, width=side_px, num_inference_steps=num_steps, guidance_scale=1.0, output_type="np")
found = pipeline(prompt, use_pe=True, generator=torch.Generator().manual_seed(0), **options)
image = found.images[0]
ours = sorted({name.split(".")[0] for name in sys.modules} & {"components", "flows"})
facts = dict(shape=list(image.shape), finite=bool((image == image).all()), std=float(image.std()), ours=ours)
print(json.dumps(facts | dict(revised=found.revised_prompts)))
"""


def check_rewriting(directory: Path, *, prompt: str, side_px: int, num_sampling_steps: int) -> Rewriting:
    """Call the pipeline with `use_pe=True` in a separate interpreter without this project, and tell what came of it.

    Raises:
        ValueError: with the interpreter's last line, if it rewrites nothing or draws no proper image.
    """
    arguments = [str(directory.resolve()), prompt, str(side_px), str(num_sampling_steps)]
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, *arguments], capture_output=True, text=True, check=False
    )
    last = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()[-1:]
    if done.returncode != 0:
        raise ValueError(f"stock diffusers cannot use the prompt enhancer in {directory}: {' '.join(last)}")
    facts = json.loads(last[0])
    if facts["shape"] != [side_px, side_px, 3] or not facts["finite"] or facts["ours"] or not facts["revised"]:
        raise ValueError(f"stock diffusers draws no proper image of a rewritten prompt from {directory}: {facts}")
    (revised,) = facts["revised"]
    return Rewriting(prompt, revised, float(facts["std"]))
