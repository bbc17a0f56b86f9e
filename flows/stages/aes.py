"""Stage `aes`: a model of taste, which scores pictures from 0 to 100.

In the default run nobody judged anything: the labels are a PROXY, real pictures against damage of known order. The
parameters, the metric `labels_are_proxy`, the model's description and its card all say so.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from components.data.config import DecodeLimits, Likeness, PinnedFile
from components.models.aes_config import AesBackbone
from components.training.aesthetic_config import AestheticTraining


def _below_data(path: str) -> str:
    if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError(f"{path!r} is no path below data/; allowed: for example labels/photos.csv")
    return path


class ProxyLabels(BaseModel, frozen=True, extra="forbid"):
    """Nobody's word: `num_images` real pictures as they are, and with nine `strengths` of a kind of `damage`."""

    kind: Literal["proxy"]
    num_images: int = Field(gt=1)
    damage: tuple[str, ...]
    strengths: tuple[float, ...]
    heldout_concept_frac: float = Field(gt=0, lt=1)


class PeoplesLabels(BaseModel, frozen=True, extra="forbid"):
    """What people said, in a file or folder below data/; see components/preference/aes_labels.py."""

    kind: Literal["csv", "ava", "tournament"]
    path: Annotated[str, AfterValidator(_below_data)]
    heldout_frac: float = Field(gt=0, lt=1)


class Params(BaseModel, frozen=True, extra="forbid"):
    """By what pictures are seen, whose word is learned from, and how.

    `evaluation` pins fingerprints (`easel data fingerprint`) of pictures that nothing is trained on, as ERIA-1K's, and
    `near` says what is one of them. Without `training` a model that scores by tokens is taken as it is.
    """

    backbone: AesBackbone
    labels: ProxyLabels | PeoplesLabels = Field(discriminator="kind")
    evaluation: PinnedFile | None
    near: Likeness
    training: AestheticTraining | None
    num_drawings: int = Field(ge=0)
    num_resamples: int = Field(gt=0)
    limits: DecodeLimits
    seed: int

    @model_validator(mode="before")
    @classmethod
    def _is_no_benchmark(cls, values: dict[str, object]) -> dict[str, object]:
        labels = values.get("labels")
        if isinstance(labels, dict) and labels.get("kind") == "eria":
            raise ValueError("ERIA-1K is a benchmark, nothing is trained on it; score it with: easel benchmark eria")
        return values

    @model_validator(mode="after")
    def _has_a_head(self) -> "Params":
        if self.training is None and self.backbone.kind != "token_score":
            raise ValueError("training is null, which only a token_score backbone can do without")
        return self


@dataclass(frozen=True)
class Metrics:
    """On pictures held out. `labels_are_proxy` is 1 where no person judged anything: no figure is then one of taste.

    Intervals hold 95 %. `order_accuracy`: how often the better one of two compared scores higher (chance 0.5).
    `bias_black_and_white`: how much higher, in levels of 100, a picture scores without its colour; 0 of a single one.
    """

    labels_are_proxy: int
    images: int
    heldout_images: int
    comparisons: int
    srcc: float
    srcc_low: float
    srcc_high: float
    plcc: float
    plcc_low: float
    plcc_high: float
    krcc: float
    krcc_low: float
    krcc_high: float
    order_accuracy: float
    loss_before: float
    loss_after: float
    bias_black_and_white: float


def aes(
    p: Params,
    *,
    images: Path,
    catalogue: Path,
    verdicts: Path,
    categories: Path,
    candidates: Path,
    candidate_images: Path,
    raw: Path,
    model: Path,
) -> Metrics:
    """Teach a model to score pictures from 0 to 100, and measure how well it follows labels it never saw."""
    from components.evaluation.aes_report import card, order_accuracy
    from components.models.aes_model import AesModel, save_aes
    from components.tracking import current_run
    from flows import aes_sources as sources

    run, see = current_run(), sources.Sight(p.backbone)
    if isinstance(p.labels, ProxyLabels):
        taste = sources.proxy(p, p.labels, see, images, catalogue, verdicts, categories)
    else:
        taste = sources.peoples(p, p.labels, see, raw / p.labels.path, run.progress)
    learned = sources.learn(p, taste, run)
    drawings = sources.drawings(candidates, candidate_images, p.num_drawings, p.limits)
    scored = AesModel(p.backbone, learned.head, f"Aes; its labels are {taste.description}", {})
    scores = scored.scores_of_features(taste.features)
    report = sources.examine(p, taste, scores, scored, see, drawings)
    told = sources.facts(p, taste, learned, report)
    save_aes(AesModel(p.backbone, learned.head, scored.description, told), model)
    (model / "README.md").write_text(
        card(report, taste.description, taste.is_proxy, list(told["made_of"].items())), encoding="utf-8"
    )
    sources.log(run, report, learned, scored.description, model)
    held = taste.compared(True)
    return Metrics(
        labels_are_proxy=int(taste.is_proxy),
        images=len(set(taste.names)),
        heldout_images=len({name for name, is_held in zip(taste.names, taste.is_heldout, strict=True) if is_held}),
        comparisons=int((~held).sum()),
        order_accuracy=order_accuracy(scores, taste.rows[held], taste.points[held]),
        loss_before=learned.before,
        loss_after=learned.after,
        bias_black_and_white=next(one.bias or 0.0 for one in report.biases if one.group == "black_and_white"),
        **{
            f"{name}{end}": getattr(getattr(report.overall, name), field)
            for name in ("srcc", "plcc", "krcc")
            for end, field in (("", "value"), ("_low", "low"), ("_high", "high"))
        },
    )
