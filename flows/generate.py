"""One image from a prompt, with a model of the registry, this workspace or a directory: what `easel generate` does."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flows import settings
from flows.console import remark
from flows.enhance import or_as_it_is
from flows.requests import check_seed, check_size, model_directory

if TYPE_CHECKING:
    from diffusers import ErnieImagePipeline
    from PIL.Image import Image

STEPS, GUIDANCE = 25, 3.0  # where the model states nothing
MAX_PROMPT_CHARS = 2048  # the released service's own limit


def generate(
    prompt: str,
    *,
    model: str = "latest",
    out: Path,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
    width: int = 64,
    height: int = 64,
    enhance: bool = False,
) -> Path:
    """Draw `prompt` and write it to `out` as PNG, with prompt, seed, settings and the model's digest in its metadata.

    Steps and guidance that are left out are those that the model states, as a few-step model does. With `enhance` the
    prompt enhancer's words are drawn, and stand in the metadata too, where it has any that keep what was asked for.

    Raises:
        ValueError: in one line, for a mistake in any of the arguments, before anything is loaded where it can be.
    """
    check_request(prompt, steps, guidance, seed, width, height)
    check_output(out)
    root = settings.find_root(Path.cwd())
    directory = model_directory(root, model)
    from components.models.diffusers_layout import draw, load_pipeline, stated_few_steps
    from components.registry.hashes import stated_digest

    stated = stated_few_steps(directory)
    if stated and guidance is not None and guidance > max(1.0, stated.guidance_scale):
        remark(
            f"this model was distilled to draw {stated.num_steps} steps at guidance {stated.guidance_scale:g}; "
            f"guidance {guidance:g} takes twice the evaluations and is not what it was trained for"
        )
    steps = steps if steps is not None else stated.num_steps if stated else STEPS
    guidance = guidance if guidance is not None else stated.guidance_scale if stated else GUIDANCE
    pipeline = load_pipeline(directory)
    told = or_as_it_is(directory, root, prompt, width, height, seed, fits(pipeline)) if enhance else prompt
    image = draw(
        pipeline,
        told,
        width_px=width,
        height_px=height,
        num_sampling_steps=steps,
        guidance_scale=guidance,
        seed=seed,
    )
    facts = {
        "steps": steps,
        "guidance": guidance,
        "seed": seed,
        "model": model,
        "model_sha256": stated_digest(directory),
    }
    texts = {"Software": "easel", "prompt": prompt, **({"enhanced_prompt": told} if told != prompt else {})}
    save_png(image, out, texts | {key: str(value) for key, value in facts.items()})
    return out


def fits(pipeline: "ErnieImagePipeline") -> Callable[[str], bool]:
    """Whether the pipeline's text encoder reads a text to its end."""
    tokenizer = pipeline.tokenizer
    return lambda text: len(tokenizer(text, truncation=False, verbose=False)["input_ids"]) <= tokenizer.model_max_length


def check_request(prompt: str, steps: int | None, guidance: float | None, seed: int, width: int, height: int) -> None:
    """ValueError, in one line, for what cannot be drawn."""
    if not prompt.strip():
        raise ValueError("the prompt is empty; say what to draw, for example: a red apple, blob style")
    if len(prompt) > MAX_PROMPT_CHARS:
        raise ValueError(f"the prompt has {len(prompt)} characters; at most {MAX_PROMPT_CHARS} are allowed")
    check_size(width, height)
    if steps is not None and steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if guidance is not None and not 0 <= guidance < float("inf"):
        raise ValueError(f"guidance must be 0 or more and finite, got {guidance}")
    check_seed(seed)


def check_output(out: Path) -> None:
    """ValueError, in one line, for where no picture can be written."""
    if out.suffix.lower() != ".png":
        raise ValueError(f"{out}: the output is a PNG; end its name with .png")
    if not out.parent.is_dir():
        raise ValueError(f"{out}: the folder {out.parent} does not exist; make it first")
    if out.is_dir():
        raise ValueError(f"{out} is a folder; give the name of a file")


def save_png(image: "Image", out: Path, texts: Mapping[str, str]) -> None:
    """Write the image with `texts` in its metadata, under a temporary name first: `out` is whole or not there."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    handle, name = tempfile.mkstemp(suffix=".png", prefix=f".{out.stem[:80]}-", dir=out.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            image.save(file, "PNG", pnginfo=info)
        Path(name).chmod(0o644)
        Path(name).replace(out)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
