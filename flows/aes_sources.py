"""What the stage `aes` is made of: how it sees pictures, whose word it learns from, what it says of itself."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.data.config import DecodeLimits
from components.models.aes_config import AesBackbone

if TYPE_CHECKING:
    import numpy as np

    from components.evaluation.aes_report import AesReport
    from components.models.aes_model import AesModel
    from components.models.linear_probe import LinearProbe
    from components.preference.taste import Pictures, Taste
    from components.tracking import NullRun
    from flows.stages.aes import Params, PeoplesLabels, ProxyLabels

_THREADS = 2


@dataclass(frozen=True)
class Head:
    """The head, and what is worth keeping of its training; losses are on what is held out."""

    head: "LinearProbe"
    before: float
    after: float
    pairs_seen: int
    pairs_per_s: float
    consumed: dict[str, str | int]


class Sight:
    """Features of pictures by a backbone, in one thread for each caller."""

    def __init__(self, backbone: AesBackbone) -> None:
        from components.models.aes_backbones import load_backbone
        from flows.settings import current_profile

        self._see = load_backbone(backbone, current_profile().execution.accelerator)

    def __call__(self, images_u8: "Pictures") -> "np.ndarray":
        """One row for each picture; at least one."""
        import torch

        torch.set_num_threads(1)  # of the calling thread: threads inside threads wait for each other
        return self._see(images_u8)

    def of_many(self, stacks: "Sequence[np.ndarray]") -> "list[np.ndarray]":
        """The rows of several stacks, some at a time beside each other."""
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(self, stacks))


def proxy(
    p: "Params", labels: "ProxyLabels", see: Sight, images: Path, catalogue: Path, verdicts: Path, categories: Path
) -> "Taste":
    """Real pictures and damaged versions of them: nobody's word."""
    from components.data import looks, records
    from components.data.decode import decode_squares
    from components.data.image_shards import ImageShards
    from components.preference.taste import proxy_taste

    kept = records.kept_ids(verdicts)
    samples = records.take_ids(records.read_table(catalogue, records.CATALOGUE), kept, catalogue)
    reference = looks.reference_rows(samples, labels.num_images, labels.heldout_concept_frac)
    names = [kept[row] for row in reference.rows]
    data = ImageShards(images, samples).take(names).column("bytes").to_pylist()
    apart(p)(data, names)
    placed = records.take_ids(records.read_table(categories, records.CATEGORIES), names, categories)
    return proxy_taste(
        decode_squares(data, p.backbone.px, p.limits),
        names,
        records.strings(placed, "category").tolist(),
        reference.is_heldout,
        labels.damage,
        labels.strengths,
        see.of_many,
        p.seed,
    )


def peoples(
    p: "Params", labels: "PeoplesLabels", see: Sight, place: Path, on_progress: Callable[[int, int], None]
) -> "Taste":
    """What people said of the pictures at `place`."""
    from components.preference.aes_labels import read_labels
    from components.preference.taste import labelled_taste

    read, done = read_labels(place, labels.kind, p.limits), 0

    def seen(pictures: "Pictures") -> "np.ndarray":
        nonlocal done
        done += len(pictures)
        on_progress(done, len(read.images))
        return see(pictures)

    return labelled_taste(read, p.limits, labels.heldout_frac, seen, apart(p), p.seed)


def apart(p: "Params") -> Callable[[Sequence[bytes], Sequence[str]], None]:
    """Refuses pictures that stand in the evaluation set, with the name of the first of them."""
    from components.data import records
    from components.data.decontamination import FINGERPRINTS, fingerprints, stands_in_evaluation
    from components.data.errors import DataError
    from components.data.pinned import pinned_path

    if p.evaluation is None:
        return lambda data, names: None
    kept_apart = records.read_table(pinned_path(p.evaluation), FINGERPRINTS)

    def refuse(data: Sequence[bytes], names: Sequence[str]) -> None:
        found = stands_in_evaluation(fingerprints(data, p.limits), kept_apart, p.near)
        if found.any():
            raise DataError(f"{names[int(found.argmax())]} stands in the evaluation set aes.evaluation; remove it")

    return refuse


def learn(p: "Params", taste: "Taste", run: "NullRun") -> Head:
    """The trained head, or without a training the one that reads a model's tokens as they are."""
    from components.models.score_head import identity_head
    from components.training.aesthetic_training import Comparisons, ComparisonSource, Rated
    from components.training.aesthetic_training import learn as train
    from components.training.checkpoint_store import current_checkpoints
    from components.training.config import Execution
    from components.training.fit import Surroundings
    from flows.reports import last_words
    from flows.settings import current_profile, incidents_dir

    start = identity_head() if p.backbone.kind == "token_score" else None
    if p.training is None:
        return Head(identity_head(), 0.0, 0.0, 0, 0.0, {})
    seen, held = (Rated(taste.features[part], taste.scores[part]) for part in (~taste.is_heldout, taste.is_heldout))
    mine = ~taste.compared(True)
    row_of = (~taste.is_heldout).cumsum() - 1
    source = ComparisonSource(
        seen, Comparisons(row_of[taste.rows[mine]], taste.points[mine]), p.training.batch_size, seed=p.training.seed
    )
    # A head of a few hundred thousand weights on features that are there: one process, whatever the profile has.
    execution = Execution("cpu", checkpoint_every_steps=current_profile().execution.checkpoint_every_steps)
    surroundings = Surroundings(run, incidents_dir(), current_checkpoints(), last_words)
    found = train(source, seen, held, start, p.training, execution, surroundings)
    return Head(
        found.head, found.held_out_before, found.held_out_after, found.pairs_seen, found.pairs_per_s, found.consumed
    )


def drawings(candidates: Path, candidate_images: Path, most: int, limits: DecodeLimits) -> "list[np.ndarray]":
    """Some of the pictures that the chain itself drew for its preference pairs; none where it drew none."""
    from components.data import records
    from components.data.decode import decode_rgb

    table = records.read_table(candidates, records.CANDIDATES)
    drawn = [row["sample_id"] for row in table.select(["sample_id", "model"]).to_pylist() if row["model"]]
    chosen = sorted(drawn, key=lambda name: records.unit_hash(name, "aes"))[:most]
    if not chosen:
        return []
    return [decode_rgb(data.as_py(), limits) for data in records.read_images(candidate_images, chosen).column("bytes")]


def examine(
    p: "Params", taste: "Taste", scores: "np.ndarray", scored: "AesModel", see: Sight, drawn: "list[np.ndarray]"
) -> "AesReport":
    """Correlations and biases on what is held out."""
    import numpy as np

    from components.evaluation.aes_report import Seen, report_of
    from components.preference.taste import without_colour

    held = taste.is_heldout
    grey = scored.scores_of_features(see([without_colour(picture) for picture in taste.shown]))
    seen = Seen(
        scores=scores[held],
        labels=taste.scores[held],
        names=[name for name, is_held in zip(taste.names, held, strict=True) if is_held],
        categories=[name for name, is_held in zip(taste.categories, held, strict=True) if is_held],
        groups=[name for name, is_held in zip(taste.groups, held, strict=True) if is_held],
        grey=grey,
        grey_rows=(held.cumsum() - 1)[taste.shown_rows],
        drawn=scored.scores_of_features(see(drawn)) if drawn else np.zeros(0, np.float32),
        undamaged=scores[taste.shown_rows] if taste.is_proxy else np.zeros(0, np.float32),
    )
    return report_of(seen, num_resamples=p.num_resamples, seed=p.seed)


def facts(p: "Params", taste: "Taste", learned: Head, report: "AesReport") -> dict[str, Any]:
    """What the model's file says beside its weights."""
    from components.models import image_features

    backbone = image_features.identity() if p.backbone.kind == "lite0" else {"network": p.backbone.name}
    return {
        "is_proxy": taste.is_proxy,
        "labels": p.labels.model_dump(mode="json"),
        "training": None if p.training is None else asdict(p.training),
        "consumed": learned.consumed,
        "held_out": report.as_json(),
        "made_of": {
            "labels": p.labels.kind,
            **backbone,
            "pairs seen": learned.pairs_seen,
            "images": len(set(taste.names)),
            "held out": len({n for n, is_held in zip(taste.names, taste.is_heldout, strict=True) if is_held}),
        },
    }


def log(run: "NullRun", report: "AesReport", learned: Head, description: str, model: Path) -> None:
    """Tell the run what is no metric of the stage: correlations by category, biases, speed, the card."""
    step = learned.pairs_seen
    run.set_tags({"easel.labels": description[:250]})
    run.log_metrics({f"srcc/{name}": found.srcc.value for name, found in report.by_category.items()}, step=step)
    measured = {f"bias/{one.group}": one.bias for one in report.biases if one.bias is not None}
    run.log_metrics({**measured, "pairs_per_s": learned.pairs_per_s}, step=step)
    run.log_artifact(model, "aes")
