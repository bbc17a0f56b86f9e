"""What a distillation looks at in pictures while it runs: each domain's prompts, drawn by student and teacher alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.preference.config import JudgeWeights
from components.samplers.config import SamplingConfig
from flows.drift_prompts import DomainPrompt, domain_parts, domain_prompts

if TYPE_CHECKING:
    from diffusers import AutoencoderKLFlux2

    from components.data.buckets import Bucket
    from components.data.latents import LatentStore
    from components.evaluation.judging import Features
    from components.models.denoiser import Denoiser
    from components.models.linear_probe import LinearProbe
    from components.preference.judges import Images, Scores, SharedFeatures
    from flows.drift_prompts import Part

    Buckets = Mapping[Bucket, LatentStore]
    Measure = Callable[[Denoiser], dict[str, float]]

REAL_PER_PROMPT = 4
"""Real images of a domain for each of its prompts: what `frechet` is taken to, and what tells domains apart."""
NUM_AXES = 32
DOMAIN_PENALTY = 0.02


@dataclass(frozen=True)
class DriftPictures:
    """What is drawn to measure how far a student is from its teacher.

    Args:
        num_prompts_per_domain: prompts of each domain, held-out ones first; fewer where a domain has fewer.
        images_per_prompt: pictures of each, from different noise, which also tell the diversity.
        teacher: how the teacher draws.
        student: how the student draws.
        shift: of the time grid of both.
        judges: judges with a weight above 0 are asked; alignment always is.
        seed: of prompts and noise.
    """

    num_prompts_per_domain: int
    images_per_prompt: int
    teacher: SamplingConfig
    student: SamplingConfig
    shift: float
    judges: JudgeWeights
    seed: int

    def __post_init__(self) -> None:
        if self.num_prompts_per_domain < 1 or self.images_per_prompt < 2:
            raise ValueError(
                "num_prompts_per_domain must be at least 1 and images_per_prompt at least 2 (of one there is no "
                f"diversity), got {self.num_prompts_per_domain} and {self.images_per_prompt}"
            )


def drift_pictures(
    curated: "Buckets",
    domain_of: Mapping[str, str],
    general: "Buckets",
    p: DriftPictures,
    classifier: Path,
    scorer: Path | None,
    autoencoder: "AutoencoderKLFlux2",
) -> "tuple[Measure, Measure]":
    """Who measures a student, and who measures a teacher: `<domain>/<measure>`, and of all domains under "all".

    Prompts are those of `curated` by the domain of their image, and of `general` as one domain more; they are the same
    at every look and drawn from the same noise, in the shape that most curated images have. Of each domain:

    * `alignment`: the mean probability that classifiers give to the asked style and category; where they know neither
      (lettering, say), that a classifier of domains, fitted here to real images, gives to the asked domain;
    * `aesthetic_proxy`: the mean probability of an undamaged image;
    * `lettering`: the share of asked words that can be read, where words are asked;
    * `diversity`: the mean distance between the features of two pictures of one prompt.

    Of all only: `frechet` to real images of the domains, and `saturation`, the mean colourfulness.

    Raises:
        ValueError: a domain without a prompt.
    """
    from components.evaluation.drift import ALL, by_domain, diversity, saturation
    from components.evaluation.frechet import fit_gaussian, frechet_distance
    from components.evaluation.judging import fit_reference
    from components.models.linear_probe import fit_probe
    from flows.judges import shared_features

    parts = domain_parts(curated, domain_of, general)
    wanted = p.num_prompts_per_domain
    prompts = [one for domain, rows in parts.items() for one in domain_prompts(domain, rows, wanted, p.seed)]
    features = shared_features(classifier)
    real, labels = _real(parts, REAL_PER_PROMPT * wanted, features, autoencoder)
    projection, reference = fit_reference(real, NUM_AXES)
    judge = _judges(p.judges, classifier, scorer, features, fit_probe(real, labels, l2=DOMAIN_PENALTY))
    draw = _drawer(prompts, max(curated.values(), key=lambda store: store.rows.num_rows), p, autoencoder)
    domains = [one.domain for one in prompts]
    each = [one for one in prompts for _ in range(p.images_per_prompt)]

    def measure(denoiser: "Denoiser", sampling: SamplingConfig) -> dict[str, float]:
        images_u8 = draw(denoiser, sampling)
        seen = features(images_u8)
        scores = {
            name: by_domain(values, [one.domain for one in each]) for name, values in judge(images_u8, each).items()
        }
        scores["diversity"] = by_domain(diversity(seen.reshape(len(prompts), p.images_per_prompt, -1)), domains)
        scores["frechet"] = {ALL: frechet_distance(fit_gaussian(projection(seen)), reference)}
        scores["saturation"] = {ALL: saturation(images_u8)}
        return {f"{domain}/{name}": value for name, of in scores.items() for domain, value in of.items()}

    return lambda student: measure(student, p.student), lambda teacher: measure(teacher, p.teacher)


def _real(
    parts: "Mapping[str, Sequence[Part]]", at_most: int, features: "SharedFeatures", autoencoder: "AutoencoderKLFlux2"
) -> "tuple[Features, list[str]]":
    """Features of real images of every domain, as the autoencoder shows them, and the domain of each.

    Of each domain at most `at_most` of a bucket, spread over its rows.
    """
    import numpy as np
    import torch

    from components.models.autoencoder import decode_latents
    from components.samplers.drawing import to_uint8

    found: list[Features] = []
    labels: list[str] = []
    for domain, of_domain in parts.items():
        for store, rows in of_domain:
            chosen = rows[np.linspace(0, len(rows) - 1, min(at_most, len(rows))).round().astype(int)]
            latents = torch.from_numpy(store.latents[chosen].astype(np.float32)).to(autoencoder.device)
            found.append(features(to_uint8(decode_latents(autoencoder, latents).cpu())))
            labels += [domain] * len(chosen)
    return np.concatenate(found), labels


def _judges(
    weights: JudgeWeights, classifier: Path, scorer: Path | None, features: "SharedFeatures", domains: "LinearProbe"
) -> "Callable[[Images, Sequence[DomainPrompt]], dict[str, Scores]]":
    """Scores of pictures by the judges' names, all 0 or more; see `drift_pictures`."""
    import numpy as np

    from components.data.top_down.facts import quoted_in
    from components.preference.judges import Asked
    from flows.judges import load_judge

    asking = {str(name): weight for name, weight in weights.items()} | {"alignment": 1.0}
    judges = load_judge(classifier, scorer, asking, features).judges

    def scores(images_u8: "Images", prompts: "Sequence[DomainPrompt]") -> "dict[str, Scores]":
        asked = [
            Asked(one.prompt.text, one.prompt.category, one.prompt.style, " ".join(quoted_in(one.prompt.text)))
            for one in prompts
        ]
        told = {judge.name: judge(images_u8, asked) for judge in judges}
        of_domains = domains.predict_proba(features(images_u8))
        of_own = of_domains[np.arange(len(prompts)), [domains.classes.index(one.domain) for one in prompts]]
        known = np.exp(told["alignment"])  # it was the mean logarithm of the two probabilities
        told["alignment"] = np.where(np.isnan(known), of_own, known)
        if "aesthetic_proxy" in told:
            told["aesthetic_proxy"] = 1 / (1 + np.exp(-told["aesthetic_proxy"]))  # log odds before
        return told

    return scores


def _drawer(
    prompts: "Sequence[DomainPrompt]", shape: "LatentStore", p: DriftPictures, autoencoder: "AutoencoderKLFlux2"
) -> "Callable[[Denoiser, SamplingConfig], Images]":
    """Who draws `images_per_prompt` pictures of each prompt in turn; every process draws its share and gets them all.

    The network draws where its weights are, and the autoencoder follows it there.
    """
    import numpy as np
    import torch

    from components.data.latents import EMPTY_TEXT
    from components.models.autoencoder import decode_latents
    from components.models.denoiser import TextCondition
    from components.samplers.drawing import draw_latents, to_uint8
    from components.training.ranks import shares, summed

    def states(store: "LatentStore", text: int) -> torch.Tensor:
        return torch.from_numpy(store.texts.of(text).astype(np.float32))

    texts = [states(one.store, one.prompt.text_number) for one in prompts for _ in range(p.images_per_prompt)]
    empty = states(shape, EMPTY_TEXT)
    channels, height, width = shape.latents.shape[1:]
    by_length = torch.tensor(sorted(range(len(texts)), key=lambda row: len(texts[row])))  # texts are padded in a batch
    noise = torch.randn(len(texts), channels, height, width, generator=torch.Generator().manual_seed(p.seed))

    def draw(denoiser: "Denoiser", sampling: SamplingConfig) -> "Images":
        device = next(denoiser.parameters()).device
        move: Any = autoencoder.to  # annotated as a property

        def velocity(x_t: torch.Tensor, t: torch.Tensor, condition: TextCondition) -> torch.Tensor:
            return denoiser(x_t, t.to(device), TextCondition(condition.states.to(device), condition.lengths.to(device)))

        images_u8 = torch.zeros(len(texts), 16 * height, 16 * width, 3, dtype=torch.uint8)
        for places, is_padding in shares(len(texts), sampling.batch_size):
            rows = by_length[places]
            own = [texts[row] for row in rows.tolist()]
            for latents in draw_latents(velocity, own, empty, noise[rows].to(device), config=sampling, shift=p.shift):
                with torch.autocast(device.type, enabled=False):  # decoders lose colours in bf16
                    drawn = to_uint8(decode_latents(move(device), latents.float()).cpu())
                images_u8[rows[~is_padding]] = torch.from_numpy(drawn)[~is_padding]
        return summed(images_u8.to(device)).cpu().numpy()

    return draw
