"""The stage `aes` on small pictures: proxy labels, people's labels, kills, faults; and `easel aes` on what it made."""

import hashlib
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from PIL import Image
from pydantic import ValidationError
from scipy.special import softmax
from tiny_internvl import save_internvl
from transformers import ViTConfig, ViTImageProcessor, ViTModel
from typer.testing import CliRunner

from components.data import records
from components.data.config import DecodeLimits
from components.data.decontamination import fingerprints
from components.models.aes_model import load_aes
from components.models.token_score import token_logits
from components.preference.swiss import Plan, play
from components.preference.votes_log import LoggedVote, VotesLog
from flows.cli import app
from flows.stages.aes import Metrics, Params, aes

ROOT = Path(__file__).parents[2]
NUM_IMAGES = 40
# The stage by itself, killed after so many steps where the last argument says so.
SCRIPT = """
import json, os, signal, sys
from dataclasses import replace
from pathlib import Path
from components.training import aesthetic_training as training
from components.training.checkpoint_store import CheckpointStore, open_checkpoints
from flows import settings
from flows.stages.aes import Params, aes

params, inputs, home, left = json.loads(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
profile = settings.load_profile(Path(sys.argv[5]), "cpu")
often = replace(profile, execution=replace(profile.execution, checkpoint_every_steps=2))
settings.current_profile = lambda: often
judge = training.judge

def killing(*args):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return judge(*args)

training.judge = killing
with open_checkpoints(CheckpointStore(home / "checkpoints", {"run": 1})):
    aes(Params(**params), **{role: Path(path) for role, path in inputs.items()}, model=home / "model")
"""


def png(number: int) -> bytes:
    """A drawing: squares of several colours on white."""
    rng = np.random.default_rng(number)
    pixels = np.full((64, 64, 3), 255, np.uint8)
    for _ in range(6):
        x, y = rng.integers(0, 48, 2)
        pixels[y : y + 16, x : x + 16] = rng.integers(0, 256, 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_pool(folder: Path, data: list[bytes]) -> list[str]:
    ids = [hashlib.sha256(one).hexdigest() for one in data]
    records.write_table(pa.table([ids, data], schema=records.IMAGES), records.part_file(folder, 0))
    return ids


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Forty drawings of twenty concepts in two categories, and four that "the chain" drew."""
    home = tmp_path_factory.mktemp("aes")
    ids = write_pool(home / "images", [png(number) for number in range(NUM_IMAGES)])
    drawn = write_pool(home / "candidate_images", [png(1000 + number) for number in range(4)])
    tables = {
        "catalogue": (
            records.CATALOGUE,
            [{"sample_id": own, "concept": f"c{n // 2}", "shard": 0, "row": n} for n, own in enumerate(ids)],
        ),
        "verdicts": (records.VERDICTS, [{"sample_id": own, "kept": True} for own in ids]),
        "categories": (
            records.CATEGORIES,
            [{"sample_id": own, "category": ("food", "travel")[n % 2]} for n, own in enumerate(ids)],
        ),
        "candidates": (records.CANDIDATES, [{"sample_id": own, "model": "digest"} for own in drawn]),
    }
    for name, (schema, rows) in tables.items():
        records.write_table(pa.Table.from_pylist(rows, schema=schema), home / f"{name}.parquet")
    (home / "data").mkdir()
    return {
        "images": home / "images",
        "candidate_images": home / "candidate_images",
        "raw": home / "data",
        **{name: home / f"{name}.parquet" for name in tables},
    }


@pytest.fixture(scope="module")
def params() -> dict:
    """The smoke recipe's."""
    return yaml.safe_load((ROOT / "infra" / "recipes" / "smoke.yaml").read_text())["aes"]


@pytest.fixture(scope="module")
def made(inputs, params, tmp_path_factory) -> tuple[Path, Metrics]:
    folder = tmp_path_factory.mktemp("made") / "model"
    return folder, aes(Params(**params), **inputs, model=folder)


def test_it_leaves_a_model_that_says_its_labels_are_a_proxy(made):
    folder, metrics = made
    assert {file.name for file in folder.iterdir()} == {"aes.json", "aes.safetensors", "README.md"}
    assert metrics.labels_are_proxy == 1
    facts = json.loads((folder / "aes.json").read_text())
    assert facts["is_proxy"]
    assert facts["labels"]["kind"] == "proxy"
    for told in (facts["description"], load_aes(folder).description, (folder / "README.md").read_text()):
        assert "PROXY" in told


def test_its_figures_are_what_they_must_be(made):
    folder, metrics = made
    assert metrics.images == NUM_IMAGES
    assert 0 < metrics.heldout_images < NUM_IMAGES
    assert metrics.comparisons == 45 * (NUM_IMAGES - metrics.heldout_images)
    assert metrics.loss_after < metrics.loss_before
    assert metrics.srcc_low <= metrics.srcc <= metrics.srcc_high
    assert metrics.order_accuracy > 0.8
    held_out = json.loads((folder / "aes.json").read_text())["held_out"]
    assert held_out["overall"]["num_rows"] == 10 * metrics.heldout_images
    assert [one["group"] for one in held_out["biases"]] == ["black_and_white", "snapshots", "ai_made"]
    assert held_out["biases"][0]["bias"] == metrics.bias_black_and_white
    assert held_out["biases"][1]["bias"] is None
    assert held_out["biases"][2]["num_images"] == 4


def test_it_ranks_pictures_it_never_saw_by_their_damage(made):
    from components.data.damage_ladder import ladder

    unseen = np.stack([np.asarray(Image.open(io.BytesIO(png(500 + number)))) for number in range(12)])
    versions = ladder(unseen, ("blur", "jpeg", "noise"), np.linspace(0, 1.2, 9).tolist(), 1)
    scorer = load_aes(made[0])
    means = [float(scorer.scores(version).mean()) for version in versions]
    assert means[0] == max(means)
    assert np.corrcoef(means, np.arange(10))[0, 1] < -0.9


def test_made_twice_it_is_the_same_bytes(made, inputs, params, tmp_path):
    folder, metrics = made
    assert aes(Params(**params), **inputs, model=tmp_path / "model") == metrics
    for file in folder.iterdir():
        assert (tmp_path / "model" / file.name).read_bytes() == file.read_bytes(), file.name


def test_killed_and_continued_it_leaves_the_same_bytes(made, inputs, params, tmp_path):
    def run(left: int) -> subprocess.CompletedProcess[str]:
        given = json.dumps({role: str(path) for role, path in inputs.items()})
        command = [sys.executable, "-c", SCRIPT, json.dumps(params), given, str(tmp_path), str(left), str(ROOT)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    for left in (5, 8):
        assert run(left).returncode == -signal.SIGKILL
    done = run(-1)
    assert done.returncode == 0, done.stderr
    for name in ("aes.safetensors", "aes.json", "README.md"):
        assert (tmp_path / "model" / name).read_bytes() == (made[0] / name).read_bytes(), name


def with_csv(inputs, tmp_path, spoil=lambda rows: rows) -> dict[str, Path]:
    """Pictures whose score is how red they are, in a CSV below data/."""
    rng, rows = np.random.default_rng(0), list[str]()
    for number in range(60):
        red = int(rng.integers(0, 256))
        Image.fromarray(np.full((40, 30 + number, 3), (red, 90, 90), np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(
            f"{number}.png,{red / 2.56:.2f},{('warm', 'cold')[number % 2]},{'snapshots' if number < 20 else ''}"
        )
    text = "\n".join(["image,score,category,group", *spoil(rows)])
    (tmp_path / "labels.csv").write_text(text + "\n")
    return inputs | {"raw": tmp_path}


PEOPLE = {"kind": "csv", "path": "labels.csv", "heldout_frac": 0.3}


def test_it_learns_from_what_people_said(inputs, params, tmp_path):
    training = params["training"] | {"num_pairs": 3200}
    changed = params | {"labels": PEOPLE, "training": training}
    metrics = aes(Params(**changed), **with_csv(inputs, tmp_path), model=tmp_path / "model")
    assert metrics.labels_are_proxy == 0
    assert metrics.srcc > 0.8
    facts = json.loads((tmp_path / "model" / "aes.json").read_text())
    assert "PROXY" not in facts["description"]
    assert set(facts["held_out"]["by_category"]) == {"warm", "cold"}
    assert facts["held_out"]["biases"][1]["bias"] is not None  # snapshots are marked here


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda rows: [*rows, rows[3]], r"labels.csv, line 62: 3.png is there already, in .*line 5"),
        (lambda rows: [*rows, "gone.png,3,,"], "line 62: there is no image 'gone.png'"),
        (lambda rows: [*rows, "labels.csv,3,,"], "line 62: image labels.csv cannot be read"),
        (lambda rows: [row.split(",")[0] for row in rows], "line 2: not as many fields"),
    ],
)
def test_bad_labels_are_refused_in_one_line(inputs, params, tmp_path, spoil, told):
    with pytest.raises(ValueError, match=told) as caught:
        aes(Params(**params | {"labels": PEOPLE}), **with_csv(inputs, tmp_path, spoil), model=tmp_path / "model")
    assert "\n" not in str(caught.value)


def test_what_stands_in_an_evaluation_set_is_never_trained_on(inputs, params, tmp_path):
    """By its fingerprint, for a proxy's pictures and for people's, and even where it was coded again."""
    limits = DecodeLimits(**params["limits"] | {"background": (255, 255, 255)})
    again = io.BytesIO()
    Image.open(io.BytesIO(png(7))).save(again, "PNG", compress_level=1)
    file = tmp_path / "eria.parquet"
    records.write_table(fingerprints([again.getvalue()], limits), file)
    pinned = {"path": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    with pytest.raises(ValueError, match="stands in the evaluation set"):
        aes(Params(**params | {"evaluation": pinned}), **inputs, model=tmp_path / "model")
    given = with_csv(inputs, tmp_path, lambda rows: [*rows, "seven.png,50,,"])
    (tmp_path / "seven.png").write_bytes(png(7))
    with pytest.raises(ValueError, match=r"line 62: image seven.png stands in the evaluation set"):
        aes(Params(**params | {"evaluation": pinned, "labels": PEOPLE}), **given, model=tmp_path / "model")


def test_parameters_that_cannot_be_are_refused(params):
    with pytest.raises(ValidationError, match="ERIA-1K is a benchmark, nothing is trained on it"):
        Params(**params | {"labels": {"kind": "eria", "path": "eria", "heldout_frac": 0.2}})
    with pytest.raises(ValidationError, match="no path below data/"):
        Params(**params | {"labels": PEOPLE | {"path": "../labels.csv"}})
    with pytest.raises(ValidationError, match="only a token_score backbone"):
        Params(**params | {"training": None})


def test_files_are_scored_from_the_command_line(made, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.png").write_bytes(png(900))
    (tmp_path / "sub" / "[red].png").write_bytes(png(901))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "half.png").write_bytes(png(902)[:200])
    done = CliRunner().invoke(app, ["aes", str(tmp_path), "--model", str(made[0]), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert "PROXY" in told["model"]
    assert [Path(one["image"]).name for one in told["images"]] == ["a.png", "half.png", "[red].png"]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(png(number)))) for number in (900, 901)])
    expected = load_aes(made[0]).scores(pixels)
    np.testing.assert_allclose([told["images"][row]["score"] for row in (0, 2)], expected, atol=0.5)
    assert told["images"][1]["score"] is None
    assert told["images"][1]["refused"].startswith("truncated")


def test_the_table_shows_names_as_they_are_and_says_whose_word_it_is(made, tmp_path):
    folder = tmp_path / ("long" * 30)  # names that are wider than a terminal are shown to their end
    folder.mkdir()
    (folder / "[red]\x1b[2J.png").write_bytes(png(900))
    done = CliRunner().invoke(app, ["aes", str(tmp_path), "--model", str(made[0])])
    assert done.exit_code == 0, done.output
    assert "\x1b[2J" not in done.output
    assert "[red]" in "".join(done.stdout.split())
    assert "PROXY" in done.stderr


def test_nothing_to_score_is_an_error(made, tmp_path):
    (tmp_path / "half.png").write_bytes(png(902)[:200])
    none_read = CliRunner().invoke(app, ["aes", str(tmp_path), "--model", str(made[0])])
    assert none_read.exit_code == 1
    assert "none of 1 pictures could be read" in none_read.stderr
    for arguments, told in ((["gone"], "no such file or folder"), ([str(made[0])], "no picture")):
        done = CliRunner().invoke(app, ["aes", *arguments, "--model", str(made[0])])
        assert isinstance(done.exception, ValueError)
        assert told in str(done.exception)


def few(params: dict) -> dict:
    """So few pictures that a network sees them one by one in seconds."""
    return params | {"labels": params["labels"] | {"num_images": 16, "heldout_concept_frac": 0.4}, "num_drawings": 2}


def test_an_image_network_of_transformers_is_taught(inputs, params, tmp_path):
    network = tmp_path / "network"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 16, "intermediate_size": 32, "image_size": 32, "patch_size": 8}
        config = ViTConfig(**sizes, num_hidden_layers=1, num_attention_heads=2)
        ViTModel(config, add_pooling_layer=False).save_pretrained(network)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(network)
    backbone = {"kind": "transformers", "name": str(network), "revision": None, "px": 64}
    metrics = aes(Params(**few(params) | {"backbone": backbone}), **inputs, model=tmp_path / "model")
    assert metrics.loss_after < metrics.loss_before
    picture = np.asarray(Image.open(io.BytesIO(png(3))))
    assert 0 <= float(load_aes(tmp_path / "model").scores([picture])[0]) <= 100


def test_a_model_that_scores_by_tokens_is_taken_as_it_is(inputs, params, tmp_path):
    backbone = {"kind": "token_score", "name": str(save_internvl(tmp_path / "vlm")), "revision": None, "px": 64}
    changed = few(params) | {"backbone": backbone, "training": None}
    metrics = aes(Params(**changed), **inputs, model=tmp_path / "model")
    assert (metrics.loss_before, metrics.loss_after) == (0.0, 0.0)
    picture = np.asarray(Image.open(io.BytesIO(png(3))))
    logits = token_logits(backbone["name"])([picture]).astype(np.float64)
    expected = softmax(logits, axis=1) @ np.arange(101)
    np.testing.assert_allclose(load_aes(tmp_path / "model").scores([picture]), expected, atol=1e-3)


def test_it_learns_from_a_tournament_s_tiers_and_comparisons(inputs, params, tmp_path):
    """A Swiss tournament of forty pictures, played by somebody who likes red."""
    folder = tmp_path / "reds" / "images"
    folder.mkdir(parents=True)
    red = dict[str, int]()
    for number in range(40):
        Image.fromarray(np.full((40, 40, 3), (6 * number, 90, 90), np.uint8)).save(folder / f"{number}.png")
        red[hashlib.sha256((folder / f"{number}.png").read_bytes()).hexdigest()] = number
    played = play(Plan(tuple(red), 0, 0.1), lambda match: "a" if red[match.left] > red[match.right] else "b")
    (tmp_path / "reds" / "p7").mkdir()
    log = VotesLog(tmp_path / "reds" / "p7" / "votes.jsonl")
    for place, match in enumerate(played.matches):
        choice = "a" if red[match.left] > red[match.right] else "b"
        where = (match.round, match.number, match.is_repeat, "which?", match.left, match.right, choice)
        log.append(LoggedVote(f"p7/{place}", "reds", *where, "p7", float(place), {"easel": "0"}))
    log.close()
    labels = {"kind": "tournament", "path": "reds", "heldout_frac": 0.3}
    changed = params | {"labels": labels, "training": params["training"] | {"num_pairs": 3200}}
    metrics = aes(Params(**changed), **inputs | {"raw": tmp_path}, model=tmp_path / "model")
    assert metrics.labels_are_proxy == 0
    assert 0 < metrics.comparisons < len(played.results)
    assert metrics.srcc > 0.8
    assert "the tournament reds, by annotators: 1" in load_aes(tmp_path / "model").description
