"""The whole pipeline with the smoke recipe, as a person runs it: built, built again, one parameter touched.

Run from the built wheel, outside this repository: the editable install would hide what the wheel lacks. One long story
in one module: its steps share one workspace, since a build takes minutes.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import yaml
from mlflow.tracking import MlflowClient
from PIL import Image
from safetensors.torch import load_file

from flows.pipeline import PIPELINE
from flows.server import answers, start_mlflow, stop

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
NEVER_THE_SAME = {"register"}  # its receipt names the registry's version


@pytest.fixture(scope="module")
def clone(new_clone):
    clone = new_clone()
    where = clone.run(str(clone.python), "-c", "import flows, components; print(flows.__file__, components.__file__)")
    assert where.stdout.count(str(clone.python.parents[1])) == 2
    clone.easel("data", "pull")
    clone.easel("run", "--recipe", "smoke")  # under Prefect, the default
    return clone


def test_the_build_under_prefect_ran_every_stage(clone):
    assert tuple(clone.ran(0)) == PIPELINE.names
    assert set(clone.lock()) == set(PIPELINE.names)


def test_a_second_run_runs_nothing(clone):
    assert "Nothing to do" in clone.easel("run").stdout
    rows = json.loads(clone.easel("status", "--json").stdout)
    assert not any(row["stale"] for row in rows)


def test_every_sample_is_kept_or_dropped_for_a_reason(clone):
    metrics = {n: json.loads((clone.root / PIPELINE[n].metrics_path).read_text()) for n in PIPELINE.names}
    taken = metrics["ingest"]
    assert taken["offered_images"] > 0
    refused = taken["repeated_images"] + taken["damaged_images"]
    assert taken["catalogued_images"] + refused == taken["offered_images"]
    kept, dropped = metrics["filter_images"]["kept_images"], metrics["filter_images"]["dropped_images"]
    assert kept + dropped == taken["catalogued_images"]
    chosen = metrics["sample"]
    assert chosen["selected_images"] + chosen["not_selected_images"] == kept


def test_training_lowers_the_held_out_loss(clone):
    client = MlflowClient(f"sqlite:///{clone.root}/.easel/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("easel").experiment_id
    [run] = client.search_runs([experiment], "attributes.run_name = 'pretrain_2'")
    held_out = "held_out/heldout_cell"
    history = client.get_metric_history(run.info.run_id, held_out)
    assert history[-1].value < history[0].value
    assert run.info.status == "FINISHED"
    assert any(tag.startswith("easel.dvc.") for tag in run.data.tags)
    assert run.inputs.dataset_inputs


def model_file(clone, stage: str) -> Path:
    return clone.root / PIPELINE[stage].outputs["model"] / "transformer" / "diffusion_pytorch_model.safetensors"


def newest(kept: Path) -> str:
    """The name of the last checkpoint of a stage, "" before the first."""
    return next((file.read_text() for file in kept.glob("*/latest")), "")


@pytest.fixture
def impatient(clone):
    """A profile that leaves a checkpoint every second step."""
    profile = clone.root / "infra" / "profiles" / "impatient.yaml"
    profile.write_text("accelerator: cpu\nthreads: 1\ncheckpoint_every_steps: 2\n")
    yield "impatient"
    profile.unlink()


def test_killed_without_warning_a_training_goes_on_and_ends_with_the_same_bytes(clone, impatient):
    """Three times in a row, each time after a checkpoint further on: everything dies at once, as in a power cut."""
    before, lock = model_file(clone, "pretrain_1").read_bytes(), clone.lock()
    again = ("run", "--only", "pretrain_1", "--force", "--executor", "local", "--profile", impatient)
    kept = clone.root / ".easel" / "checkpoints" / "pretrain_1"
    reached = ""
    for _ in range(3):
        running = clone.start(*again)
        while newest(kept) <= reached:
            assert running.poll() is None
            time.sleep(0.005)
        family = [*psutil.Process(running.pid).children(recursive=True), running]
        for process in family:
            process.kill()
        running.wait()
        psutil.wait_procs(family[:-1])
        reached = newest(kept)
    done = clone.easel(*again)
    assert "goes on from checkpoint" in done.stdout
    assert model_file(clone, "pretrain_1").read_bytes() == before
    assert clone.lock()["pretrain_1"]["outs"] == lock["pretrain_1"]["outs"]
    assert not newest(kept)


def test_two_processes_under_zero_train_what_one_does(clone):
    alone = load_file(model_file(clone, "pretrain_1"))
    clone.easel("run", "--only", "pretrain_1", "--force", "--executor", "local", "--profile", "cpu-2proc")
    together = load_file(model_file(clone, "pretrain_1"))
    assert alone.keys() == together.keys()
    moved = max(float((alone[name] - together[name]).abs().max()) for name in alone)
    assert 0 < moved < 2e-3  # sums in another order, over 40 steps at rates of 2e-3
    clone.easel("run", "--only", "pretrain_1", "--force", "--executor", "local")
    again = load_file(model_file(clone, "pretrain_1"))
    assert all(torch.equal(alone[name], again[name]) for name in alone)


def test_stock_diffusers_draws_with_the_export_in_a_process_without_this_project(clone, tmp_path):
    code = """
import sys, torch
from diffusers import ErnieImagePipeline
pipeline = ErnieImagePipeline.from_pretrained(sys.argv[1])
image = pipeline("a red apple", height=64, width=64, num_inference_steps=4, guidance_scale=3.0, use_pe=False,
                 generator=torch.Generator().manual_seed(0)).images[0]
assert not {"components", "flows"} & set(sys.modules)
image.save(sys.argv[2])
"""
    export, image = clone.root / PIPELINE["export"].outputs["pipeline"], tmp_path / "apple.png"
    subprocess.run([sys.executable, "-I", "-c", code, export, image], check=True, cwd=tmp_path, timeout=300)
    pixels = np.asarray(Image.open(image))
    assert pixels.shape == (64, 64, 3)
    assert pixels.std() > 0
    assert not [f for f in export.rglob("*") if f.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt"}]


def test_generate_draws_with_the_registered_model(clone, tmp_path):
    def draw(seed: str, name: str) -> bytes:
        file = tmp_path / name
        clone.easel("generate", "a red apple, blob style", "--steps", "4", "--seed", seed, "-o", str(file))
        return np.asarray(Image.open(file)).tobytes()

    assert draw("1", "a.png") == draw("1", "b.png")
    assert draw("2", "c.png") != draw("1", "d.png")
    refused = clone.easel("generate", "an apple", "--model", "nobody", check=False)
    assert refused.returncode == 1
    assert len(refused.stderr.strip().splitlines()) == 1


def test_the_mlflow_page_opens_on_the_runs(clone):
    server = start_mlflow(clone.root)
    try:
        assert answers(f"{server.url}/")
        names = [m.name for m in MlflowClient(server.url).search_registered_models()]
        assert len(names) == 1
        assert MlflowClient(server.url).get_model_version_by_alias(names[0], "candidate")
    finally:
        stop(server)


def test_the_local_executor_makes_the_same_bytes_and_a_touched_parameter_reruns_its_descendants(clone):
    before = clone.lock()
    shutil.rmtree(clone.root / "artifacts")
    shutil.rmtree(clone.root / ".dvc" / "cache" / "runs")
    (clone.root / "dvc.lock").unlink()
    clone.easel("run", "--executor", "local")
    assert tuple(clone.ran(-1)) == PIPELINE.names
    after = clone.lock()
    assert {n: after[n] for n in after if n not in NEVER_THE_SAME} == {
        n: before[n] for n in before if n not in NEVER_THE_SAME
    }

    params = clone.root / "params.yaml"
    blocks = yaml.safe_load(params.read_text())
    blocks["evaluate"]["seed"] += 1
    params.write_text(yaml.safe_dump(blocks, sort_keys=False))
    clone.easel("run", "--executor", "local")
    assert set(clone.ran(-1)) == {"evaluate"} | PIPELINE.descendants("evaluate")
