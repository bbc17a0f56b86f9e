"""Which samples a training could draw, which it drew, and which were held out: for its record in the ledger.

A training says in its own file which positions of which order it consumed; the order is a pure function of what it
read, so it is made again here, without any weights, and must have the same manifest hash. Where it cannot be made
again (`enhancer`, `aes`: from texts and features) everything offered counts as drawn, which is exact after one round:
each holds every row once.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.data import records
from components.data.arrow import pc
from components.data.splits import SPLITS, TRAIN
from flows.parameters import PARAMS_FILE, parse_block, read_blocks
from flows.pipeline import PIPELINE

if TYPE_CHECKING:
    from components.training.batches import PositionSource

RANGE = ("manifest_hash", "seed", "batch_size", "start", "stop")


class DrawnError(ValueError):
    """A training's own word about what it consumed does not fit what lies in the workspace; one line says where."""


@dataclass(frozen=True)
class Drawn:
    """Sample ids (SHA-256 of image bytes) as a training met them.

    `drawn` are those that reached the weights; `is_exact` is False where they are all that were offered because
    nothing tells them apart. Images that a model of ours drew (candidates of preferences) are ids as any other.
    """

    offered: frozenset[str]
    drawn: frozenset[str]
    held_out: frozenset[str]
    consumed: tuple[Mapping[str, Any], ...]
    is_exact: bool = True


def drawn_samples(root: Path, stage: str) -> Drawn | None:
    """What the training stage `stage` drew, by its outputs and inputs as they lie at `root`; None if it trains nothing.

    Raises:
        DrawnError: the order that its inputs give is not the one that it says it consumed.
    """
    declared = PIPELINE[stage]
    if declared.function.__name__ not in _TRAININGS:
        return None
    paths = {role: root / artifact.path for role, artifact in declared.inputs.items()}
    params = parse_block(declared, read_blocks(root / PARAMS_FILE), Path(PARAMS_FILE))
    return drawn_by(declared.function.__name__, params, paths, root / declared.outputs["model"])


def drawn_by(function: str, params: Any, inputs: Mapping[str, Path], model: Path) -> Drawn | None:
    """`drawn_samples` of a stage function that was given `params` and `inputs` (by role) and left `model`."""
    told = _told(model)
    return _TRAININGS[function](params, inputs, told) if told else None


def _told(model: Path) -> Mapping[str, Any] | None:
    """The model's file that says what it was trained on; None where nothing was trained (a model taken as it is)."""
    files = (json.loads(file.read_text(encoding="utf-8")) for file in sorted(model.glob("*.json")))
    return next((told for told in files if told.get("consumed")), None)


def _of_source(source: "PositionSource", told: Mapping[str, Any], rows: Iterable[Any]) -> Drawn:
    """What lies at the consumed positions of an order over tables of rows (`sample_id`, `split`, `probability`)."""
    consumed: Mapping[str, Any] = told["consumed"]
    made = source.consumed(int(consumed["stop"]))
    if made != dict(consumed):
        raise DrawnError(
            f"the inputs give another order of samples ({made['manifest_hash']}) than the one that was trained on "
            f"({consumed['manifest_hash']}); restore the inputs of that training, or train again"
        )
    offered, held_out = set[str](), set[str]()
    for table in rows:
        is_offered = pc.greater(table["probability"], 0)
        offered |= set(table.filter(is_offered).column("sample_id").to_pylist())
        held_out |= set(table.filter(pc.invert(is_offered)).column("sample_id").to_pylist())
    names = source.sample_ids(int(consumed["start"]), int(consumed["stop"]))
    drawn = frozenset(name for step in names for name in step)
    return Drawn(frozenset(offered), drawn, frozenset(held_out - offered), (dict(consumed),))


def _pretrain(p: Any, paths: Mapping[str, Path], told: Mapping[str, Any]) -> Drawn:
    from components.data.latents import read_buckets
    from components.training.batches import BatchSource

    buckets = read_buckets(paths["latents"], p.px)
    source = BatchSource(buckets, p.training.batch, seed=p.training.seed)
    return _of_source(source, told, (store.rows for store in buckets.values()))


def _tuned(p: Any, paths: Mapping[str, Path], told: Mapping[str, Any]) -> Drawn:
    """Of `sft` (all domains, or a domain expert) and of `distill`, whose prompts are those of these images."""
    from components.data.latents import read_buckets
    from components.training.sft import only_domains, sft_source

    curated, earlier = read_buckets(paths["curated"], p.px), read_buckets(paths["latents"], p.px)
    if domains := getattr(p, "domains", None):
        selection = records.read_table(paths["sft_selection"], records.SFT_SELECTION)
        named = zip(*(selection.column(name).to_pylist() for name in ("sample_id", "domain")), strict=True)
        curated = only_domains(curated, dict(named), domains)
    prior = p.prior if hasattr(p, "prior") else p.training.prior
    source = sft_source(curated, earlier, p.training.batch, prior, seed=p.training.seed)
    parts = [*curated.values(), *(earlier.values() if prior.frac > 0 else ())]
    return _of_source(source, told, (store.rows for store in parts))


def _dpo(p: Any, paths: Mapping[str, Path], told: Mapping[str, Any]) -> Drawn:
    from components.data.latents import read_buckets
    from components.training.pair_batches import PairSource

    pairs, config = records.read_table(paths["pairs"], records.PAIRS), p.training
    source = PairSource(
        read_buckets(paths["pair_latents"], p.px),
        pairs,
        batch_size=config.batch_size,
        caption_dropout_frac=config.caption_dropout_frac,
        in_order=config.in_order,
        seed=config.seed,
    )
    found = _of_source(source, told, ())
    offered, held_out = (
        {
            name
            for row in pairs.to_pylist()
            if (row["split"] == "train") is mine
            for name in (row["winner"], row["loser"])
        }
        for mine in (True, False)
    )
    return Drawn(frozenset(offered), found.drawn, frozenset(held_out - offered), found.consumed)


def _enhancer(p: Any, paths: Mapping[str, Path], told: Mapping[str, Any]) -> Drawn:
    from components.enhancer.wishes import WISHES

    table = records.read_table(paths["pairs"], WISHES).select(["sample_id", "split"])
    is_own = pc.equal(table["split"], SPLITS[TRAIN])
    offered = frozenset(table.filter(is_own).column("sample_id").to_pylist())
    held_out = frozenset(table.filter(pc.invert(is_own)).column("sample_id").to_pylist()) - offered
    is_exact = told["held_out"]["examples_seen"] >= pc.sum(is_own).as_py()  # a round or more, with every wish once
    return Drawn(offered, offered, held_out, (dict(told["consumed"]),), is_exact=is_exact)


def _aes(p: Any, paths: Mapping[str, Path], told: Mapping[str, Any]) -> Drawn | None:
    from components.data import looks

    if p.labels.kind != "proxy":  # people's pictures: files outside the data set, whose digests the inputs hold
        return None
    kept = records.kept_ids(paths["verdicts"])
    samples = records.take_ids(records.read_table(paths["catalogue"], records.CATALOGUE), kept, paths["catalogue"])
    reference = looks.reference_rows(samples, p.labels.num_images, p.labels.heldout_concept_frac)
    chosen = list(zip((kept[row] for row in reference.rows), reference.is_heldout, strict=True))
    offered = frozenset(name for name, is_held in chosen if not is_held)
    held_out = frozenset(name for name, is_held in chosen if is_held)
    return Drawn(offered, offered, held_out, (dict(told["consumed"]),), is_exact=False)


_TRAININGS: Mapping[str, Callable[[Any, Mapping[str, Path], Mapping[str, Any]], Drawn | None]] = {
    "pretrain": _pretrain,
    "sft": _tuned,
    "dpo": _dpo,
    "distill": _tuned,
    "enhancer": _enhancer,
    "aes": _aes,
}
