"""Scores of picture files by an Aes model: what `easel aes` does."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.data.config import DecodeLimits
from flows import settings
from flows.data_unwanted import files_of

if TYPE_CHECKING:
    import numpy as np

TRAINED = Path("artifacts/models/aes")
"""What this workspace's own stage makes."""
LIMITS = DecodeLimits(max_pixels=100_000_000, max_bytes=100_000_000, max_ratio=1000.0)
_AT_ONCE, _THREADS = 16, 2


@dataclass(frozen=True)
class Scored:
    """A file's score in [0, 100]; None where it was refused, with the reason."""

    image: str
    score: float | None
    refused: str = ""


def score_files(
    places: Sequence[Path], model: Path | None, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[list[Scored], str]:
    """Scores of files, and of the pictures in folders, in name order; and what the model's labels were.

    A picture that cannot be decoded within limits is refused and does not stop the others.

    Raises:
        ValueError: in one line, for a place that is not there, folders without pictures, and where there is no model.
    """
    from components.data.decode import named_format
    from components.models.aes_model import load_aes

    root = settings.find_root(Path.cwd())
    scorer = load_aes(model or root / TRAINED, settings.load_profile(root).execution.accelerator)
    files = [file for file in files_of(places) if file in places or named_format(file.name)]
    if not files:
        raise ValueError(f"{', '.join(map(str, places))}: no picture (PNG, JPEG, WebP, GIF); name some")
    found = list[Scored]()
    for start in range(0, len(files), _AT_ONCE):
        part = files[start : start + _AT_ONCE]
        with ThreadPoolExecutor(_THREADS) as pool:
            decoded = list(pool.map(_decoded, part))
        scores = iter(scorer.scores([one for one in decoded if not isinstance(one, str)]).tolist())
        found += [
            Scored(str(file), None, one) if isinstance(one, str) else Scored(str(file), next(scores))
            for file, one in zip(part, decoded, strict=True)
        ]
        on_progress(len(found), len(files))
    return found, scorer.description


def _decoded(file: Path) -> "np.ndarray | str":
    """The picture in sRGB, or why there is none."""
    from components.data.decode import ImageRejectedError, decode_rgb

    try:
        with file.open("rb") as stream:
            return decode_rgb(stream.read(LIMITS.max_bytes + 1), LIMITS)
    except ImageRejectedError as error:
        return str(error)
    except OSError as error:
        return str(error.strerror)
