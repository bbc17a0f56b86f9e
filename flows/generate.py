"""One image from a prompt, with a model of the registry, this workspace or a directory: what `easel generate` does."""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flows import settings
from flows.console import remark

if TYPE_CHECKING:
    from PIL.Image import Image

# For each family of models its registered name and the workspace's own export.
FAMILIES = {
    "": ("easel", Path("artifacts/export")),
    "turbo": ("easel-turbo", Path("artifacts/export_turbo")),
}
STEPS, GUIDANCE = 25, 3.0  # where the model states nothing
MAX_PROMPT_CHARS = 2048  # the released service's own limit
MIN_SIDE_PX, MAX_SIDE_PX, SIDE_STEP_PX = 16, 1024, 16


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
) -> Path:
    """Draw `prompt` and write it to `out` as PNG, with prompt, seed, settings and the model's digest in its metadata.

    Steps and guidance that are left out are those that the model states, as a few-step model does.

    Raises:
        ValueError: in one line, for a mistake in any of the arguments, before anything is loaded where it can be.
    """
    check_request(prompt, steps, guidance, seed, width, height)
    check_output(out)
    root = settings.find_root(Path.cwd())
    from components.registry.hashes import stated_digest
    from components.registry.resolve import resolve

    name, export, version = family_of(model)
    directory = resolve(version, uri=settings.tracking_uri(root), name=name, workspace_export=root / export)
    from components.models.diffusers_layout import draw, load_pipeline, stated_few_steps

    stated = stated_few_steps(directory)
    if stated and guidance is not None and guidance > max(1.0, stated.guidance_scale):
        remark(
            f"this model was distilled to draw {stated.num_steps} steps at guidance {stated.guidance_scale:g}; "
            f"guidance {guidance:g} takes twice the evaluations and is not what it was trained for"
        )
    steps = steps if steps is not None else stated.num_steps if stated else STEPS
    guidance = guidance if guidance is not None else stated.guidance_scale if stated else GUIDANCE
    image = draw(
        load_pipeline(directory),
        prompt,
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
    save_png(image, out, {"Software": "easel", "prompt": prompt, **{key: str(value) for key, value in facts.items()}})
    return out


def family_of(model: str) -> tuple[str, Path, str]:
    """Registered name, export in the workspace, and the version: `turbo`, `turbo:3`, `turbo:candidate` are Turbo's.

    Anything else is a version of the model that draws with guidance, or a directory, as `resolve` says.
    """
    family, _, version = model.partition(":")
    if family in FAMILIES and family:
        return *FAMILIES[family], version or "latest"
    return *FAMILIES[""], model


def check_request(prompt: str, steps: int | None, guidance: float | None, seed: int, width: int, height: int) -> None:
    """ValueError, in one line, for what cannot be drawn."""
    if not prompt.strip():
        raise ValueError("the prompt is empty; say what to draw, for example: a red apple, blob style")
    if len(prompt) > MAX_PROMPT_CHARS:
        raise ValueError(f"the prompt has {len(prompt)} characters; at most {MAX_PROMPT_CHARS} are allowed")
    for name, side in (("width", width), ("height", height)):
        if side % SIDE_STEP_PX or not MIN_SIDE_PX <= side <= MAX_SIDE_PX:
            raise ValueError(
                f"{name} {side} is not possible; give a multiple of {SIDE_STEP_PX} from {MIN_SIDE_PX} to {MAX_SIDE_PX}"
            )
    if steps is not None and steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if guidance is not None and not 0 <= guidance < float("inf"):
        raise ValueError(f"guidance must be 0 or more and finite, got {guidance}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be between 0 and 2^63 - 1, got {seed}")


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
