"""`easel ablate distill` on the artifacts of a small finished run: four distillations, one table."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow.tracking import MlflowClient
from PIL import Image
from tiny_distill_stage import PARAMS, write_distill_inputs
from typer.testing import CliRunner

from components.training.distillation_ablation import ARMS
from flows import settings
from flows.ablate_distill import NAME, STAGE, Request, ablate_distill
from flows.ablations import folder_of
from flows.cli import app

ROOT = Path(__file__).parents[2]
FOLDER = folder_of(NAME)
DOMAINS = {"general", "poster", "symbol", "all"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Iterator[Path]:
    """A repository with the inputs of the stage `distill`, and its block in params.yaml; it is the current folder."""
    root = tmp_path_factory.mktemp("finished")
    made = write_distill_inputs(tmp_path_factory.mktemp("made"))
    for role, artifact in STAGE.inputs.items():
        place = root / artifact.path
        place.parent.mkdir(parents=True, exist_ok=True)
        if role not in made:
            place.mkdir()  # an expert that the committee does not ask
        elif made[role].is_dir():
            shutil.copytree(made[role], place)
        else:
            shutil.copyfile(made[role], place)
    blocks = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    blocks["distill"] = json.loads(PARAMS.model_dump_json())
    (root / "params.yaml").write_text(yaml.safe_dump(blocks), encoding="utf-8")
    (root / "flows").mkdir()
    (root / "flows" / "pipeline.py").touch()
    (root / "infra").symlink_to(ROOT / "infra")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EASEL_HOME", str(root / ".easel"))
        patch.chdir(root)
        yield root


@pytest.fixture(scope="module")
def found(finished) -> dict[str, Any]:
    """What the command prints for machines."""
    done = CliRunner().invoke(app, ["ablate", "distill", "--updates", "2", "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_one_command_makes_the_table_and_the_chart(finished, found):
    assert [arm["arm"] for arm in found["arms"]] == list(ARMS)
    assert found == json.loads((finished / FOLDER / "table.json").read_text(encoding="utf-8"))
    lines = (finished / FOLDER / "table.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 + len(ARMS)
    assert "alignment, poster" in lines[0]
    for name in ("drift", "grid_start", *(f"grid_{arm}" for arm in ARMS)):
        with Image.open(finished / FOLDER / f"{name}.png") as image:
            assert image.size[0] > 100


def test_all_arms_are_trained_to_the_end_from_one_start(found):
    for arm in found["arms"]:
        looks = found["looks"][arm["arm"]]
        assert (arm["student_updates"], arm["ended_early"]) == (2, "")
        assert arm["alignment"].keys() == DOMAINS
        assert arm["worst"] == min(share for domain, share in arm["alignment"].items() if domain != "all")
        assert looks[0] == found["looks"]["committee"][0]
    ends = [arm["alignment"]["all"] for arm in found["arms"]]
    assert len(set(ends)) == len(ARMS)


def test_its_runs_stand_below_one(finished, found):
    client = MlflowClient(settings.tracking_uri(finished))
    experiment = client.get_experiment_by_name(settings.EXPERIMENT)
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"ablate_distill", *ARMS}
    parent = runs["ablate_distill"].info.run_id
    assert {runs[arm].data.tags["mlflow.parentRunId"] for arm in ARMS} == {parent}
    assert runs["noised_data"].data.params["sampler.rollout"] == "noised_data"
    assert "drift/poster/alignment" in runs["single"].data.metrics


def test_without_a_finished_run_it_says_what_to_do(tmp_path):
    first = next(iter(STAGE.inputs))
    with pytest.raises(ValueError, match=rf"input {first} is missing: .*; run `easel run --until"):
        ablate_distill(tmp_path, Request(), settings.load_profile(ROOT, "cpu"), lambda *told: None)


def test_its_help_has_examples():
    text = CliRunner().invoke(app, ["ablate", "distill", "--help"], env={"COLUMNS": "200"}).stdout
    assert "easel ablate distill --updates 20 --json" in text
