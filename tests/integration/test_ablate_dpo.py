"""`easel ablate dpo` on the artifacts of a small finished run: four trainings, one table."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from mlflow.tracking import MlflowClient
from PIL import Image
from tiny_losses import ANCHORED
from tiny_pairs import pair_store, pair_table
from tiny_training import TINY, tiny_denoiser
from typer.testing import CliRunner

from components.data import latents
from components.data.buckets import Bucket
from components.data.records import write_table
from components.models.autoencoder import autoencoder_sha256, build_autoencoder
from components.models.config import AutoencoderConfig
from components.paths.config import TimestepDensity
from components.training import pretrain
from components.training.config import GridConfig, OptimiserConfig, PreferenceConfig, WatchConfig
from components.training.preference_ablation import ARMS
from flows import judges, settings
from flows.ablate_dpo import HASTE, JUDGED, NAME, STAGE, Request, ablate_dpo, changed
from flows.ablations import folder_of
from flows.cli import app

ROOT = Path(__file__).parents[2]
FOLDER = folder_of(NAME)
CONFIG = PreferenceConfig(
    num_pairs=80,
    batch_size=4,
    caption_dropout_frac=0.0,
    in_order=False,
    loss=ANCHORED,
    reference="copy",
    optimiser=OptimiserConfig(2e-3, (0.9, 0.95), 0.0, 1.0, 2, 0.0, "linear"),
    timesteps=TimestepDensity("logit_normal", 0.0, 1.0, 1.0),
    ema_decay=0.0,
    precision="32-true",
    lora=None,
    watch=WatchConfig(every_images=20, visits=2, max_error_rise=0.1, max_quality_fall=0.05, patience=1, seed=0),
    grid=GridConfig(1000, ("a cat", "a dog"), 1, 1.0, 1.0, 0),
    seed=0,
)


class Brightness:
    """A judge whose taste is known."""

    name = "brightness"

    def __call__(self, images_u8, asked):
        return images_u8.mean(axis=(1, 2, 3)).astype(np.float64)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Iterator[Path]:
    """A repository with the inputs of the stage `dpo`, and its block in params.yaml; it is the current folder."""
    root = tmp_path_factory.mktemp("finished")
    paths = {role: root / artifact.path for role, artifact in {**JUDGED.inputs, **STAGE.inputs}.items()}
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir(exist_ok=True)
    torch.manual_seed(0)
    build_autoencoder(AutoencoderConfig(2, (4, 4, 8, 8), 1, 2)).save_pretrained(paths["autoencoder"])
    tiny_denoiser().transformer.save_pretrained(paths["init"] / pretrain.AVERAGED)
    write_table(pair_table(), paths["pairs"])
    write_store(paths["pair_latents"], autoencoder_sha256(paths["autoencoder"]))
    blocks = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    blocks["dpo"] |= {"px": 32, "model": asdict(TINY), "training": asdict(CONFIG)}
    (root / "params.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(blocks))), encoding="utf-8")
    (root / "flows").mkdir()
    (root / "flows" / "pipeline.py").touch()
    (root / "infra").symlink_to(ROOT / "infra")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EASEL_HOME", str(root / ".easel"))
        patch.chdir(root)
        patch.setattr(pretrain, "TextEncoder", TextsOfTheStore)
        patch.setattr(judges, "load_judge", lambda *made_of: Brightness())
        yield root


class TextsOfTheStore:
    """The prompts of the grid are texts of the store: the real encoder has its own tests."""

    @classmethod
    def load(cls):
        return cls()

    def __call__(self, texts):
        return [torch.from_numpy(pair_store().texts.of(number)).float() for number, _ in enumerate(texts)]


def write_store(directory: Path, sha256: str) -> None:
    """The pairs' latents as `preferences` leaves them."""
    store, square = pair_store(), Bucket(32, 32)
    links = [(row, "prompt", int(text)) for row, text in enumerate(store.captions["prompt"])]
    columns = dict(zip(latents.CAPTION_LINKS.names, zip(*links, strict=True), strict=True))
    latents.write_layout(directory, latents.Layout(sha256, "pad", {32: [square]}))
    latents.write_latents(directory, 32, store.latents[np.arange(store.latents.shape[0])], bucket=square)
    latents.write_texts(directory, latents.pa.table(columns, schema=latents.CAPTION_LINKS), store.prompts, store.texts)
    latents.write_rows(directory, store.rows)


@pytest.fixture(scope="module")
def found(finished) -> dict[str, Any]:
    """What the command prints for machines."""
    command = ["ablate", "dpo", "--prompts", "4", "--pairs", "80", "--learning-rate", "0.003", "--json"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_one_command_makes_the_table(finished, found):
    assert [arm["arm"] for arm in found["arms"]] == list(ARMS)
    assert found == json.loads((finished / FOLDER / "table.json").read_text(encoding="utf-8"))
    lines = (finished / FOLDER / "table.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 + len(ARMS)
    for name in ("errors", "grid_start", *(f"grid_{arm}" for arm in ARMS)):
        with Image.open(finished / FOLDER / f"{name}.png") as image:
            assert image.size[0] > 100


def test_all_arms_are_trained_to_the_end_and_judged(found):
    for arm in found["arms"]:
        assert (arm["pairs_seen"], arm["ended_early"]) == (80, "")
        assert 0 <= arm["judged"]["low"] <= arm["judged"]["share"] <= arm["judged"]["high"] <= 1
        curve = found["curves"][arm["arm"]]["health/lose_ratio"]
        assert curve[0] == [0, 1.0]
        assert curve[-1] == [80, arm["lose_ratio"]]


def test_the_loser_runs_away_where_nothing_holds_it(found):
    lose = {arm["arm"]: arm["lose_ratio"] for arm in found["arms"]}
    assert lose["naive"] > 1
    assert lose["naive"] > lose["both"]


def test_its_runs_stand_below_one(finished, found):
    client = MlflowClient(settings.tracking_uri(finished))
    experiment = client.get_experiment_by_name(settings.EXPERIMENT)
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"ablate_dpo", *ARMS}
    parent = runs["ablate_dpo"].info.run_id
    assert {runs[arm].data.tags["mlflow.parentRunId"] for arm in ARMS} == {parent}
    assert {runs[arm].data.params["optimiser.learning_rate"] for arm in ARMS} == {"0.003"}
    assert runs["sdpo"].data.params["loss.winner_preserving"] == "0.9"


def test_what_is_not_asked_for_is_as_in_dpo_but_faster():
    assert changed(CONFIG, Request()) == replace(
        CONFIG, optimiser=replace(CONFIG.optimiser, learning_rate=HASTE * 2e-3)
    )
    asked = changed(CONFIG, Request(num_pairs=8, learning_rate=1e-4))
    assert (asked.num_pairs, asked.optimiser.learning_rate) == (8, 1e-4)


def test_without_a_finished_run_it_says_what_to_do(tmp_path):
    first = next(iter(STAGE.inputs))
    with pytest.raises(ValueError, match=rf"input {first} is missing: .*; run `easel run --until"):
        ablate_dpo(tmp_path, Request(), settings.load_profile(ROOT, "cpu"), lambda *told: None)


def test_its_help_has_examples():
    text = CliRunner().invoke(app, ["ablate", "dpo", "--help"], env={"COLUMNS": "200"}).stdout
    assert "easel ablate dpo --prompts 0 --json" in text
