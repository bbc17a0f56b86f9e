import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components.data.records import CANDIDATES, IMAGES, PAIRS
from components.preference.brought import Brought, bring
from components.preference.checks import check_pairs
from components.preference.config import PairRules
from components.preference.prompts import split_of
from components.preference.readers import Comparison, Layout, read_comparisons
from tests.unit.preference.published import LIMITS, pickapic_row, picture, write_hpd, write_lines, write_parquet

RULES = PairRules(0.0, None, 1, "easy_first", 0.4, 2)


def sample_id(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def brought(comparisons: list[Comparison], rules: PairRules = RULES) -> tuple[Brought, dict[str, bytes]]:
    written: list[pa.Table] = []
    found = bring(comparisons, rules, LIMITS, written.append)
    images = pa.concat_tables([IMAGES.empty_table(), *written])
    assert images.schema == IMAGES
    assert found.candidates.schema == CANDIDATES
    assert found.pairs.table.schema == PAIRS
    assert found.num_images == 2 * found.pairs.table.num_rows + found.pairs.dropped.total()
    return found, dict(zip(images["sample_id"].to_pylist(), images["bytes"].to_pylist(), strict=True))


def compared(*images: bytes, prompt: str = "a fox", scores: tuple[float, ...] = (1.0, 0.0), **other: Any) -> Comparison:
    return Comparison("file, row 0", prompt, images, scores, "Ann", True, **other)


@pytest.fixture(params=["pickapic", "hpd", "plain"])
def published(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Layout, list[tuple[str, bytes, bytes]]]:
    """A file in each layout, and the pairs that were put into it: winner number 2k, loser 2k + 1."""
    kind = "PNG" if request.param == "plain" else "JPEG"
    truth = [(f"prompt {k}", picture(2 * k, kind=kind), picture(2 * k + 1, kind=kind)) for k in range(40)]
    if request.param == "pickapic":
        rows = [pickapic_row(p, 2 * k + k % 2, 2 * k + 1 - k % 2, 1.0 - k % 2) for k, (p, _, _) in enumerate(truth)]
        return write_parquet(tmp_path / "train.parquet", rows, 8), "pickapic", truth
    if request.param == "hpd":
        entries = [
            {"prompt": p, "image_path": [f"{2 * k + 1}.jpg", f"{2 * k}.jpg"], "human_preference": [0, 1]}
            for k, (p, _, _) in enumerate(truth)
        ]
        return write_hpd(tmp_path, "train", entries), "hpd", truth
    lines = [{"prompt": p, "winner": f"{2 * k}.png", "loser": f"{2 * k + 1}.png"} for k, (p, _, _) in enumerate(truth)]
    images = {f"{number}.png": picture(number) for number in range(80)}
    return write_lines(tmp_path / "pairs.jsonl", lines, images), "plain", truth


def test_what_was_put_into_a_file_comes_out_as_pairs(
    published: tuple[Path, Layout, list[tuple[str, bytes, bytes]]],
) -> None:
    file, layout, truth = published
    found, images = brought(list(read_comparisons(file, layout, LIMITS)))
    pairs = {(row["prompt"], images[row["winner"]], images[row["loser"]]) for row in found.pairs.table.to_pylist()}
    assert pairs == set(truth)
    assert all(sample_id(data) == name for name, data in images.items())
    assert found.candidates["sample_id"].to_pylist() == list(images)
    rows = {row["sample_id"]: row for row in found.candidates.to_pylist()}
    for pair in found.pairs.table.to_pylist():
        winner, loser = rows[pair["winner"]], rows[pair["loser"]]
        assert pair["split"] == winner["split"] == loser["split"] == split_of(pair["prompt"], RULES)
        assert (winner["width"], winner["height"], winner["model"]) == (12, 9, "")
        assert winner["scores"][0]["score"] > loser["scores"][0]["score"]
    sizes = {name: (row["width"], row["height"]) for name, row in rows.items()}
    check_pairs(found.pairs.table, sizes, 8, prompts={name: row["prompt"] for name, row in rows.items()})


def test_of_a_ranking_the_best_stands_against_the_worst_by_the_difference_of_ranks() -> None:
    ranked = compared(*map(picture, range(5)), scores=(-3.0, -1.0, -5.0, -2.0, -4.0))
    found, images = brought([ranked], PairRules(0.0, None, 2, "easy_first", 0.4, 2))
    pairs = [(images[row["winner"]], images[row["loser"]], row["margin"]) for row in found.pairs.table.to_pylist()]
    assert pairs == [(picture(1), picture(2), 4.0), (picture(3), picture(4), 2.0)]
    assert dict(found.pairs.dropped) == {"alone": 1}
    assert len(images) == 4  # the one in the middle is not written


@pytest.mark.parametrize(
    ("comparison", "reason"),
    [
        (compared(picture(3), picture(4), scores=(0.5, 0.5)), "tie"),
        (compared(picture(3), picture(4), unused="unlabelled"), "unlabelled"),
        (compared(picture(3), picture(4)[:-100]), "undecodable"),
        (compared(b"<html>", picture(4)), "undecodable"),
        (compared(picture(3, 200, 100), picture(4)), "undecodable"),  # more pixels than allowed
        (compared(picture(3), b"\x89PNG\r\n\x1a\n" + b"x" * 200_000), "undecodable"),  # more bytes
        (compared(picture(1), picture(4), prompt="an owl"), "other_prompt"),
        (compared(picture(3), picture(4), scores=(9.0, 0.0)), "beyond_max_margin"),
    ],
)
def test_what_cannot_be_used_costs_its_pair_and_is_counted(comparison: Comparison, reason: str) -> None:
    rules = PairRules(0.0, 5.0, 1, "easy_first", 0.4, 2)
    found, images = brought([compared(picture(1), picture(2)), comparison], rules)
    assert dict(found.pairs.dropped) == {reason: 2}
    assert set(images.values()) == {picture(1), picture(2)}


def test_images_that_are_brought_to_two_shapes_are_no_pair() -> None:
    comparisons = [compared(picture(1, 20, 9), picture(2, 12, 9)), compared(picture(3, 14, 9), picture(4, 12, 9))]
    found = bring(comparisons, RULES, LIMITS, lambda table: None, shape_of=lambda width, height: width >= 15)
    assert dict(found.pairs.dropped) == {"other_shape": 2}
    assert found.candidates["width"].to_pylist() == [14, 12]


def test_prompts_of_an_evaluation_are_refused_however_they_are_spelled() -> None:
    comparisons = [compared(picture(1), picture(2), prompt="A  Red fox"), compared(picture(3), picture(4))]
    found = bring(comparisons, RULES, LIMITS, lambda table: None, evaluation=["a red FOX", "a red"])
    assert dict(found.pairs.dropped) == {"evaluation_prompt": 2}
    assert found.pairs.table["prompt"].to_pylist() == ["a fox"]


def test_an_image_in_several_pairs_is_written_once_with_all_its_scores() -> None:
    found, images = brought([compared(picture(1), picture(2)), compared(picture(3), picture(1))])
    assert len(images) == found.candidates.num_rows == 3
    scores = {row["sample_id"]: [one["score"] for one in row["scores"]] for row in found.candidates.to_pylist()}
    assert scores == {sample_id(picture(1)): [1.0, 0.0], sample_id(picture(2)): [0.0], sample_id(picture(3)): [1.0]}


def test_images_are_given_on_some_at_a_time() -> None:
    sizes = list[int]()
    comparisons = (compared(picture(2 * k), picture(2 * k + 1), prompt=f"prompt {k}") for k in range(100))
    bring(comparisons, RULES, LIMITS, lambda table: sizes.append(table.num_rows))
    assert sum(sizes) == 200
    assert max(sizes) <= 64


def test_nothing_at_all_gives_empty_tables() -> None:
    found, images = brought([])
    assert (found.candidates.num_rows, found.pairs.table.num_rows, images) == (0, 0, {})
