"""A wish told at more length before it is drawn: what `easel enhance` and `easel generate --enhance` do."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from flows import settings
from flows.console import remark
from flows.requests import check_seed, check_size, model_directory

if TYPE_CHECKING:
    from components.enhancer.guards import Enhanced

TRAINED = Path("artifacts/models/enhancer")
"""What this workspace's own stage makes; an exported pipeline has the same two folders."""


def enhance(wish: str, *, model: str = "latest", width: int = 64, height: int = 64, seed: int = 0) -> "Enhanced":
    """The description of `wish` by a model's enhancer, or the wish itself with the reason.

    `latest` is the workspace's own enhancer where there is one.

    Raises:
        ValueError: in one line, for a wish, size or seed that cannot be, and where there is no enhancer.
    """
    from components.enhancer.wish import clean_wish

    cleaned = clean_wish(wish)
    check_size(width, height)
    check_seed(seed)
    root = settings.find_root(Path.cwd())
    is_own = model == "latest" and (root / TRAINED).is_dir()
    directory = root / TRAINED if is_own else enhancer_of(model_directory(root, model), root)
    return enhance_with(directory, cleaned, width, height, seed)


def enhance_with(directory: Path, wish: str, width: int, height: int, seed: int) -> "Enhanced":
    """What the enhancer in `directory` makes of `wish`; ValueError for a bad wish, or files that are no enhancer."""
    from jinja2 import TemplateError
    from transformers.utils import logging

    from components.enhancer.decoding import Writer
    from components.enhancer.guards import enhance as guarded
    from components.enhancer.wish import clean_wish

    cleaned = clean_wish(wish)
    logging.set_verbosity_error()  # it remarks on each field of a configuration that its own version does not need
    try:
        return guarded(cleaned, width, height, Writer.load(directory).write, seed)
    except (TypeError, LookupError, AttributeError, TemplateError) as error:
        # What libraries raise of files that can be read and yet say nothing they know.
        told = " ".join(str(error).split())
        raise ValueError(
            f"the prompt enhancer in {directory} cannot be used: {told}; export the model again"
        ) from error


def or_as_it_is(
    directory: Path, root: Path, prompt: str, width: int, height: int, seed: int, fits: Callable[[str], bool]
) -> str:
    """What to draw for `prompt`: the enhancer's words, or the prompt; either way one line on standard error says so.

    Nothing that is wrong with the enhancer keeps anybody from drawing, and its words are left if they do not fit.
    """
    try:
        found = enhance_with(enhancer_of(directory, root), prompt, width, height, seed)
    except (ValueError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
    else:
        reason = found.reason or ("" if fits(found.text) else "the description is longer than the model reads")
        if not reason:
            remark(f"enhanced: {found.text}")
            return found.text
    remark(f"not enhanced, drawn as it is: {reason}")
    return prompt


def enhancer_of(directory: Path, root: Path) -> Path:
    """Where the enhancer of the pipeline in `directory` lies: in it, or in the workspace; ValueError if nowhere."""
    from components.enhancer.decoding import MODEL, TOKENIZER

    for place in (directory, root / TRAINED):
        if (place / MODEL).is_dir() or (place / TOKENIZER).is_dir():
            return place
    raise ValueError(f"there is no prompt enhancer in {directory}; train one with: easel run --until enhancer")
