"""What a preference training looks at in pictures while it runs: judges of one component, a network of another."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from components.training.config import GridConfig

if TYPE_CHECKING:
    from diffusers import AutoencoderKLFlux2

    from components.data.buckets import Bucket
    from components.data.latents import LatentStore
    from components.evaluation.judging import Features
    from components.models.denoiser import Denoiser


def picture_quality(
    names: Sequence[Literal["alignment", "frechet", "lettering"]],
    prompts_at_most: int,
    grid: GridConfig,
    buckets: "Mapping[Bucket, LatentStore]",
    real: "Features",
    num_axes: int,
    classifier: Path,
    autoencoder: "AutoencoderKLFlux2",
) -> "Callable[[Denoiser], Mapping[str, float]]":
    """A function that draws prompts of held-out pairs as `grid` says and measures their quality.

    `alignment` is the mean of the probabilities that classifiers give to the asked style and category, `frechet` the
    Fréchet distance to the images with the features `real`, in their `num_axes` main directions; both are always
    measured. `lettering` is the share of asked words that can be read. The noise is the same at every look.
    """
    import numpy as np

    from components.evaluation.frechet import fit_gaussian, frechet_distance
    from components.evaluation.judging import fit_reference
    from flows.heldout_pictures import heldout_pictures
    from flows.judges import load_judge, shared_features

    asked, draw = heldout_pictures(buckets, prompts_at_most, grid, autoencoder)
    features = shared_features(classifier)
    weights = {"alignment": 1.0, "lettering": float("lettering" in names)}
    judges = {judge.name: judge for judge in load_judge(classifier, None, weights, features).judges}
    projection, reference = fit_reference(real, num_axes)

    def measure(denoiser: "Denoiser") -> Mapping[str, float]:
        images_u8 = draw(denoiser)
        scores = {name: judge(images_u8, asked) for name, judge in judges.items()}
        scores["alignment"] = np.exp(scores["alignment"])  # it was the mean logarithm of the two probabilities
        distance = frechet_distance(fit_gaussian(projection(features(images_u8))), reference)
        return {"frechet": distance, **{name: float(np.nanmean(of_images)) for name, of_images in scores.items()}}

    return measure
