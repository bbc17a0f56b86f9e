"""The preferences stage on a tiny random network, the real image features, and files of pairs and votes."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from tiny_preferences import OWN, PARAMS, PX, Made, make, write_inputs

from components.data import latents as store
from components.data.errors import DataError
from components.data.records import read_images
from components.models.autoencoder import autoencoder_sha256, encode_latents, load_autoencoder
from components.models.image_features import NUM_FEATURES
from components.models.linear_probe import LinearProbe, save_probe
from flows.stages.preferences import PairFile, Params


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_inputs(tmp_path_factory.mktemp("preferences"))


@pytest.fixture(scope="module")
def own(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(inputs, tmp_path_factory.mktemp("own"))


def test_metrics_count_what_is_in_the_tables(own: Made) -> None:
    pairs, candidates, metrics = own.rows("pairs"), own.rows("candidates"), own.metrics
    assert (metrics.prompts, metrics.candidates, metrics.pairs) == (16, 48, len(pairs))
    assert metrics.candidates == 2 * metrics.pairs + metrics.dropped_images
    assert 0 < metrics.heldout_pairs == sum(pair["split"] == "heldout" for pair in pairs) < len(pairs)
    assert metrics.human_pairs == metrics.unjudged_images == 0
    assert metrics.mean_margin == pytest.approx(np.mean([pair["margin"] for pair in pairs]))
    scores = {row["sample_id"]: {one["judge"]: one["score"] for one in row["scores"]} for row in candidates}
    agrees = [
        (scores[pair["winner"]]["alignment"] > scores[pair["loser"]]["alignment"])
        == (scores[pair["winner"]]["aesthetic_proxy"] > scores[pair["loser"]]["aesthetic_proxy"])
        for pair in pairs
    ]
    assert metrics.judge_agreement == pytest.approx(np.mean(agrees))


def test_it_says_that_no_person_chose(own: Made) -> None:
    metadata = pq.read_schema(own.folder / "pairs.parquet").metadata
    assert metadata[b"judges"].startswith(b"models (weighted); no person chose any of the ")
    assert {(pair["judge"], pair["is_human"]) for pair in own.rows("pairs")} == {("weighted", False)}


def test_only_prompts_of_training_rows_are_asked(own: Made) -> None:
    asked = {row["prompt"] for row in own.rows("candidates")}
    numbers = [(prompt.split()[0], int(prompt.split()[2].rstrip(","))) for prompt in asked]
    assert all(number < {"short": 20, "request": 8}[kind] for kind, number in numbers)
    assert sum(kind == "request" for kind, _ in numbers) == 4


def test_training_reads_winner_and_loser_with_their_prompt(own: Made, inputs: dict[str, Path]) -> None:
    read, pairs = own.latents(), own.rows("pairs")
    row_of = {name: row for row, name in enumerate(read.rows.column("sample_id").to_pylist())}
    assert sorted(row_of) == sorted(name for pair in pairs for name in (pair["winner"], pair["loser"]))
    assert read.probabilities.sum() == pytest.approx(1.0)
    short = store.read_latents(inputs["latents"], PX)
    for pair in pairs:
        for side in ("winner", "loser"):
            row = row_of[pair[side]]
            text = read.captions["prompt"][row]
            assert read.prompts[text] == pair["prompt"]
            assert read.rows.column("split")[row].as_py() == pair["split"]
            if pair["prompt"] in short.prompts:
                number = list(short.prompts).index(pair["prompt"])
                np.testing.assert_array_equal(read.texts.of(text), short.texts.of(number))
    store.check_autoencoder(own.folder / "latents", autoencoder_sha256(inputs["autoencoder"]))


def test_every_candidate_is_kept_as_an_image(own: Made) -> None:
    candidates = own.rows("candidates")
    images = read_images(own.folder / "images", [row["sample_id"] for row in candidates])
    for row, data in zip(candidates, images.column("bytes").to_pylist(), strict=True):
        assert Image.open(io.BytesIO(data)).size == (row["width"], row["height"])


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (PX, PX)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def write_pairs(raw: Path, prompts: list[str]) -> PairFile:
    """A plain file of one pair a prompt, red preferred to green, each image a little different."""
    folder = raw / "brought"
    folder.mkdir(exist_ok=True)
    lines = []
    for number, prompt in enumerate(prompts):
        for name, colour in (("red", (255 - number, 0, 0)), ("green", (0, 255 - number, 0))):
            (folder / f"{name}{number}.png").write_bytes(picture(colour))
        row = {"prompt": prompt, "winner": f"red{number}.png", "loser": f"green{number}.png", "is_human": True}
        lines.append(json.dumps(row))
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    return PairFile(path="brought/pairs.jsonl", layout="plain")


FILE_PROMPTS = [f"brought {number}" for number in range(12)]


def test_pairs_of_a_file_are_encoded_and_those_an_evaluation_asks_are_not(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    file = write_pairs(inputs["raw"], [*FILE_PROMPTS, "SHORT  thing 21, filled"])
    made = make(inputs, tmp_path, own=None, files=(file,))
    assert (made.metrics.pairs, made.metrics.human_pairs, made.metrics.dropped_images) == (12, 12, 2)
    assert np.isnan(made.metrics.judge_agreement)
    assert b"people chose 12 of 12 pairs" in pq.read_schema(tmp_path / "pairs.parquet").metadata[b"judges"]
    read = made.latents()
    assert read.latents.shape == (24, 16, 2, 2)
    (row,) = (n for n, pair in enumerate(made.rows("candidates")) if pair["prompt"] == "brought 3" and n % 2 == 0)
    red = torch.tensor([252.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, PX, PX) / 127.5 - 1
    expected = encode_latents(load_autoencoder(inputs["autoencoder"]), red)
    np.testing.assert_allclose(read.latents[np.array([row])][0], expected[0].numpy(), atol=5e-3)


def test_votes_stand_above_what_models_chose(inputs: dict[str, Path], own: Made, tmp_path: Path) -> None:
    chosen = own.rows("pairs")[0]
    vote = {"prompt": chosen["prompt"], "image_a": chosen["loser"], "image_b": chosen["winner"], "choice": "a"}
    (inputs["raw"] / "votes.jsonl").write_text(json.dumps(vote | {"annotator": "p1", "time": 1.0}) + "\n")
    made = make(inputs, tmp_path, votes="votes.jsonl")
    (pair,) = (pair for pair in made.rows("pairs") if pair["prompt"] == chosen["prompt"])
    assert (pair["winner"], pair["loser"], pair["is_human"]) == (chosen["loser"], chosen["winner"], True)
    assert made.metrics.pairs == own.metrics.pairs
    assert made.metrics.human_pairs == 1


def spoilt(raw: Path, line: str) -> PairFile:
    write_pairs(raw, FILE_PROMPTS)
    with (raw / "brought" / "pairs.jsonl").open("a") as file:
        file.write(line + "\n")
    return PairFile(path="brought/pairs.jsonl", layout="plain")


BAD_FILES = {
    "damaged": ('{"prompt": "x", "winner":', r"pairs\.jsonl, (line|row) 1"),
    "an image that is missing": (
        json.dumps({"prompt": "x", "winner": "red0.png", "loser": "none.png"}),
        r"there is no image 'none\.png'",
    ),
    "an image outside": (
        json.dumps({"prompt": "x", "winner": "red0.png", "loser": "../../model/training.json"}),
        "lies outside",
    ),
    "one image twice": (json.dumps({"prompt": "x", "winner": "red0.png", "loser": "red0.png"}), "are the same"),
}


@pytest.mark.parametrize(("line", "said"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_one_line_that_says_where(inputs: dict[str, Path], tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        make(inputs, tmp_path, own=None, files=(spoilt(inputs["raw"], line),))
    assert "\n" not in str(caught.value)


def test_too_few_pairs_and_a_single_prompt_are_refused(inputs: dict[str, Path], tmp_path: Path) -> None:
    file = write_pairs(inputs["raw"], FILE_PROMPTS)
    with pytest.raises(DataError, match="pairs to train on, a batch needs 50; ask more prompts"):
        make(inputs, tmp_path / "few", own=None, files=(file,), min_pairs=50)
    file = write_pairs(inputs["raw"], ["one prompt"] * 6)
    with pytest.raises(DataError, match=r"are of one prompt|0 pairs to train on"):
        make(inputs, tmp_path / "one", own=None, files=(file,))


def test_a_probe_that_gives_no_number_stops_the_stage(inputs: dict[str, Path], tmp_path: Path) -> None:
    weight = np.full((2, NUM_FEATURES), np.nan, np.float32)
    probe = LinearProbe(("better", "worse"), weight, np.zeros(2, np.float32))
    save_probe(probe, tmp_path / "scorer", "aesthetic", {"px": PX, "precision": "fp32"})
    with pytest.raises(DataError, match=r"judge 'aesthetic_proxy' scored image \w+ \('.*'\) as nan"):
        make(inputs | {"scorer": tmp_path / "scorer"}, tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"own": None}, "`own` is null and `files` is empty"),
        ({"own": {**OWN.model_dump(), "judges": {"alignment": 0.0}}}, "one of them above 0"),
        ({"own": {**OWN.model_dump(), "judges": {"taste": 1.0}}}, "taste"),
        ({"votes": "../votes.jsonl"}, "no path below data/"),
        ({"files": [{"path": "/etc/pairs.jsonl", "layout": "plain"}]}, "no path below data/"),
    ],
)
def test_parameters_that_cannot_be_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Params.model_validate(PARAMS.model_dump() | changes)
