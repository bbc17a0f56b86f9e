"""Where pairs come from: what the model draws and judges prefer, files of others, people's votes; and their sum."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.data.config import Buckets, DecodeLimits
from components.preference.config import PairRules

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from components.data.album import Album
    from components.data.latents import EncodedSelection
    from components.preference.candidates import Artist, Latent
    from components.preference.questions import States
    from components.training.encoded_parts import Read
    from flows.stages.preferences import OwnCandidates, PairFile


@dataclass(frozen=True)
class Networks:
    """Folders of the model that draws, its autoencoder, and the judges' probes."""

    model: Path
    autoencoder: Path
    classifier: Path
    scorer: Path


@dataclass(frozen=True)
class Found:
    """Pairs and candidates with what is known of them: latents by sample and token states by prompt, where drawn."""

    pairs: "pa.Table"
    candidates: "pa.Table"
    dropped: Counter[str] = field(default_factory=Counter[str])
    num_prompts: int = 0
    num_refused: int = 0
    latents: "Mapping[str, Latent]" = field(default_factory=dict[str, "Latent"])
    states: "Mapping[str, States]" = field(default_factory=dict[str, "States"])

    def measures(self) -> dict[str, Any]:
        """What the stage tells of them."""
        margins = self.pairs.column("margin").to_numpy()
        return {
            "prompts": self.num_prompts,
            "refused_prompts": self.num_refused,
            "candidates": self.candidates.num_rows,
            "pairs": self.pairs.num_rows,
            "heldout_pairs": self.pairs.column("split").to_pylist().count("heldout"),
            "human_pairs": sum(self.pairs.column("is_human").to_pylist()),
            "dropped_images": self.dropped.total(),
            "tied_images": self.dropped["tie"],
            "unjudged_images": self.dropped["unjudged"],
            "mean_margin": float(margins.mean()),
            "judge_agreement": agreement(self.pairs, self.candidates, ("alignment", "aesthetic_proxy")),
        }


def draw(
    own: "OwnCandidates",
    px: int,
    rules: PairRules,
    seed: int,
    networks: Networks,
    selections: "Sequence[EncodedSelection]",
    album: "Album",
    on_progress: Callable[[int, int], None],
) -> Found:
    """Pairs of what the model draws for prompts of training rows, as the judges prefer."""
    from components.data.latents import EMPTY_TEXT
    from components.preference.candidates import draw_candidates
    from components.preference.judges import weighted
    from components.preference.pairs import pairs_from_scores
    from components.preference.questions import choose_questions
    from flows.judges import load_judge

    questions = choose_questions(selections, own.caption_shares, own.num_prompts, seed)
    judge = load_judge(networks.classifier, networks.scorer, {name: weight for name, weight in own.judges.items()})
    artist = _artist(own, px, networks, selections[0].texts.of(EMPTY_TEXT))
    drawn = draw_candidates(
        *(questions.chosen, own.candidates_per_prompt, artist, judge.judges, album, rules, seed, on_progress)
    )
    candidates = drawn.table()
    made = pairs_from_scores(candidates, weighted(drawn.scores_of(), judge.weights), judge.name, rules)
    return Found(
        made.table,
        candidates,
        made.dropped + Counter({"repeated": drawn.num_repeated}),
        len(questions.chosen),
        questions.num_refused,
        drawn.latents,
        {one.asked.prompt: one.states for one in questions.chosen},
    )


def bring_files(
    files: "Sequence[PairFile]",
    raw: Path,
    px: int,
    buckets: Buckets,
    rules: PairRules,
    limits: DecodeLimits,
    album: "Album",
    evaluation: Iterable[str],
) -> Found:
    """Pairs that others published below `raw`, their images copied into `album`."""
    from components.data.buckets import bucket_for, buckets_of
    from components.preference.brought import bring
    from components.preference.readers import read_comparisons

    offered = buckets_of(px, buckets.max_aspect)

    def write(images: "pa.Table") -> None:
        for data in images.column("bytes"):
            album.add(data.as_py())

    brought = bring(
        chain.from_iterable(read_comparisons(raw / file.path, file.layout, limits) for file in files),
        rules,
        limits,
        write,
        shape_of=lambda width, height: bucket_for(width, height, offered),
        evaluation=evaluation,
    )
    prompts = set(brought.candidates.column("prompt").to_pylist())
    return Found(brought.pairs.table, brought.candidates, brought.pairs.dropped, len(prompts))


def joined(parts: Sequence[Found], votes: Path | None, rules: PairRules, evaluation: Iterable[str]) -> Found:
    """All of them as one, with the pairs that people's votes on their images make, in the curriculum's order.

    What people chose stands: of a prompt that was voted on, no pair of models is kept (dropped as `voted`).
    """
    import pyarrow as pa

    from components.preference.pairs import in_order
    from components.preference.votes import pairs_from_votes, read_votes

    candidates = pa.concat_tables([part.candidates for part in parts])
    rows = [row for part in parts for row in part.pairs.to_pylist()]
    dropped = sum((part.dropped for part in parts), Counter[str]())
    if votes is not None:
        categories = dict(zip(*(candidates.column(name).to_pylist() for name in ("prompt", "category")), strict=True))
        voted = pairs_from_votes(read_votes(votes), categories, rules, evaluation=evaluation)
        prompts = set(voted.table.column("prompt").to_pylist())
        kept = [row for row in rows if row["is_human"] or row["prompt"] not in prompts]
        dropped += voted.dropped + Counter({"voted": 2 * (len(rows) - len(kept))})
        rows = kept + voted.table.to_pylist()
    return Found(
        in_order(rows, rules),
        candidates,
        dropped,
        sum(part.num_prompts for part in parts),
        sum(part.num_refused for part in parts),
        {name: latent for part in parts for name, latent in part.latents.items()},
        {prompt: states for part in parts for prompt, states in part.states.items()},
    )


def check(found: Found, px: int, buckets: Buckets, min_pairs: int) -> None:
    """DataError unless these pairs can be trained on: see `check_pairs`; sizes are those that training reads."""
    from components.data.buckets import bucket_for, buckets_of
    from components.preference.checks import check_pairs

    offered = buckets_of(px, buckets.max_aspect)
    rows = found.candidates.select(["sample_id", "prompt", "width", "height"]).to_pylist()
    shapes = {row["sample_id"]: bucket_for(row["width"], row["height"], offered) for row in rows}
    sizes = {name: (shape.width, shape.height) for name, shape in shapes.items()}
    check_pairs(found.pairs, sizes, min_pairs, prompts={row["sample_id"]: row["prompt"] for row in rows})


def who_judged(pairs: "pa.Table") -> str:
    """One line on who chose, for whoever opens the table."""
    num_human = sum(pairs.column("is_human").to_pylist())
    names = ", ".join(sorted(set(pairs.column("judge").to_pylist())))
    if not num_human:
        return f"models ({names}); no person chose any of the {pairs.num_rows} pairs"
    return f"people chose {num_human} of {pairs.num_rows} pairs, models the others ({names})"


def agreement(pairs: "pa.Table", candidates: "pa.Table", judges: tuple[str, str]) -> float:
    """The share of pairs on which two judges prefer the same image; NaN if both judged none. A tie counts half."""
    import numpy as np

    from components.preference.pairs import outcomes

    rows = candidates.select(["sample_id", "scores"]).to_pylist()
    scores = {row["sample_id"]: {one["judge"]: one["score"] for one in row["scores"]} for row in rows}
    won = [
        outcomes(
            *(
                np.array([scores[name].get(judge, np.nan) for name in pairs.column(side).to_pylist()], np.float64)
                for side in ("winner", "loser")
            )
        )
        for judge in judges
    ]
    agrees = 1 - np.abs(won[0] - won[1])
    return float(np.nanmean(agrees)) if not np.isnan(agrees).all() else float("nan")


def sheet(pairs: "pa.Table", read: "Read", px: int, num_pairs: int, limits: DecodeLimits) -> "np.ndarray":
    """Pairs from all over the table, winner left, loser right, with prompt and margin below."""
    import numpy as np

    from components.data.decode import decode_squares
    from components.training.grids import draw_grid

    places = np.linspace(0, pairs.num_rows - 1, min(num_pairs, pairs.num_rows)).round().astype(int)
    shown = pairs.take(places).to_pylist()
    names = [name for row in shown for name in (row["winner"], row["loser"])]
    data = read(names).column("bytes").to_pylist()
    captions = [text for row in shown for text in (row["prompt"], f"lost by {row['margin']:.2f}, {row['judge']}")]
    return draw_grid(decode_squares(data, px, limits), captions)


def _artist(own: "OwnCandidates", px: int, networks: Networks, empty_text: "States") -> "Artist":
    from components.data.buckets import STRIDE_PX
    from components.models.autoencoder import load_autoencoder
    from components.models.denoiser import Denoiser
    from components.models.initial import directory_sha256
    from components.models.training_record import read_training_record
    from components.models.transformer import load_transformer
    from components.preference.candidates import Artist

    transformer = load_transformer(networks.model / "transformer")
    side = px // STRIDE_PX
    return Artist(
        Denoiser(transformer),
        load_autoencoder(networks.autoencoder),
        directory_sha256(networks.model / "transformer"),
        empty_text,
        read_training_record(networks.model).shift,
        (transformer.config["in_channels"], side, side),
        own.sampling,
    )
