"""ERIA-1K, a benchmark of the Aes model: what `easel benchmark eria` does. Nothing is drawn, nothing is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.benchmark import FOLDER, Progress, label_of, leave

if TYPE_CHECKING:
    import numpy as np

    from components.evaluation.benchmarks.eria import Rated
    from components.evaluation.benchmarks.results import Results, Shown
    from components.evaluation.score_biases import ScoreBias
    from components.models.aes_model import AesModel

AES = Path("artifacts/models/aes")
"""What this workspace's own stage makes."""
ABOUT = (
    "How far a model of taste follows the tiers that people gave to images of many kinds. Nobody trained on them here. "
    "The people who made the benchmark also made the best model of the published table, with the same annotators."
)
SEED = 0
SIDE_PX, AT_ONCE, SHOWN, SHOWN_PX = 2048, 16, 6, 192


@dataclass(frozen=True)
class EriaRequest:
    """The benchmark's folder or test.json, the folder of an Aes model (None: the workspace's own), and how many images.

    `limit` takes the first so many (None: all).
    """

    images: Path
    model: Path | None = None
    limit: int | None = None


def run_eria(root: Path, request: EriaRequest, on_progress: Progress) -> "tuple[Results, Path]":
    """Score the images, and leave how far that follows people's tiers in the folder that is returned.

    Raises:
        ValueError: in one line: no such benchmark or model, or an image that is missing or unreadable.
    """
    from components.evaluation.benchmarks import eria
    from components.models.aes_model import load_aes
    from components.registry.hashes import file_sha256, path_sha256
    from flows.run import stage_lock

    table = eria.find(request.images)
    rated = eria.read(table)[: request.limit]
    directory = request.model or root / AES
    model = load_aes(directory)
    label = label_of(str(directory.resolve()), enhance=False)
    folder = root / FOLDER / "eria" / label
    with stage_lock(root, f"benchmark-eria-{label}"):
        folder.mkdir(parents=True, exist_ok=True)
        scores, is_grey = rate(model, rated, on_progress)
        facts = {
            "images": len(rated),
            "model_sha256": path_sha256(directory),
            "test_json_sha256": file_sha256(table),
            "labels_of_the_model": model.description,
        }
        results = as_results(label, facts, rated, scores, is_grey)
        leave(root, folder, results, furthest_off(rated, scores), None)
    return results, folder


def rate(model: "AesModel", rated: "Sequence[Rated]", on_progress: Progress) -> "tuple[np.ndarray, np.ndarray]":
    """The model's score of each image, and whether it is black and white."""
    import numpy as np

    from components.evaluation.benchmarks.eria import decoded, is_grey

    scores, grey = list[np.ndarray](), list[bool]()
    for start in range(0, len(rated), AT_ONCE):
        images = [decoded(one, SIDE_PX) for one in rated[start : start + AT_ONCE]]
        scores.append(model.scores(images))
        grey += [is_grey(image) for image in images]
        on_progress("scoring images", start + len(images), len(rated))
    return np.concatenate(scores).astype(np.float64), np.array(grey)


def as_results(
    label: str, facts: Mapping[str, object], rated: "Sequence[Rated]", scores: "np.ndarray", is_grey: "np.ndarray"
) -> "Results":
    """The correlations, published ones beside them where all images were scored, and the bias that can be measured."""
    import numpy as np

    from components.evaluation.benchmarks import eria
    from components.evaluation.benchmarks.published import published
    from components.evaluation.benchmarks.results import Results
    from components.evaluation.score_biases import bias_of_group

    is_whole = len(rated) == eria.NUM_IMAGES
    part = f"{len(rated)} of the benchmark's {eria.NUM_IMAGES} images: no published number is of these."
    levels = 100 * (np.array([one.tier for one in rated]) - 1) / 9
    bias = bias_of_group("black_and_white", scores, levels, is_grey)
    return Results(
        "eria",
        "ERIA-1K",
        ABOUT,
        "Where it is furthest from people",
        label,
        facts,
        eria.follows(scores, rated, "Aes model", SEED),
        [],
        [f"Black and white: {told_bias(bias)}.", *([] if is_whole else [part])],
        published("eria") if is_whole else (),
    )


def told_bias(bias: "ScoreBias") -> str:
    """A bias in words; none is claimed where its interval holds 0."""
    if bias.bias is None or bias.low is None or bias.high is None:
        return bias.measured
    what = "no bias seen" if bias.low <= 0 <= bias.high else "over-rated" if bias.bias > 0 else "under-rated"
    return f"{what}, {bias.bias:+.1f} of 100 levels ({bias.low:+.1f} to {bias.high:+.1f}), {bias.num_images} images"


def furthest_off(rated: "Sequence[Rated]", scores: "np.ndarray") -> "list[Shown]":
    """The images that the model places highest and lowest against people, by rank."""
    import numpy as np
    from scipy.stats import rankdata

    from components.evaluation.benchmarks.eria import decoded
    from components.evaluation.benchmarks.results import Shown

    off = rankdata(scores) - rankdata([one.tier for one in rated])
    order = np.argsort(off, kind="stable")
    chosen = list(dict.fromkeys([*order[::-1][:SHOWN].tolist(), *order[:SHOWN].tolist()]))
    return [
        Shown(
            rated[number].file.name,
            [decoded(rated[number], SHOWN_PX)],
            f"tier {rated[number].tier:g}, scored {scores[number]:.0f}: too {'high' if off[number] > 0 else 'low'}",
        )
        for number in chosen
        if off[number]
    ]
