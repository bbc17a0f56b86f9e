"""The whole pipeline with the smoke recipe, as a person runs it under Prefect: built, built again, killed, distributed.

Run from the built wheel, outside this repository: the editable install would hide what the wheel lacks. One long story
in one module: its steps share one workspace, since a build takes minutes. Its second half, under the local executor, is
test_pipeline_local.py, which another worker runs meanwhile.
"""

import json
import time
from pathlib import Path

import psutil
import pytest
import torch
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file

from flows.freshness import fingerprint
from flows.pipeline import PIPELINE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def clone(under_prefect):
    clone, _ = under_prefect
    where = clone.run(str(clone.python), "-c", "import flows, components; print(flows.__file__, components.__file__)")
    assert where.stdout.count(str(clone.python.parents[1])) == 2
    return clone


def test_the_build_under_prefect_ran_every_stage(clone):
    assert tuple(clone.ran(0)) == PIPELINE.names
    assert set(clone.lock()) == set(PIPELINE.names)


def test_a_second_run_runs_nothing(clone):
    assert "Nothing to do" in clone.easel("run").stdout
    rows = json.loads(clone.easel("status", "--json").stdout)
    assert not any(row["stale"] for row in rows)


def test_what_was_built_passes_its_gate_and_says_where_it_is_from(clone):
    client = MlflowClient(f"sqlite:///{clone.root}/.easel/mlflow/mlflow.db")
    built = {"candidate": ("easel", "export"), "turbo:candidate": ("easel-turbo", "export_turbo")}
    for model, (name, made) in built.items():
        moved = json.loads(clone.easel("promote", model, "--reason", "the first", "--by", "ann", "--json").stdout)
        assert (moved["result"], moved["before"]) == ("promoted", None)
        tags = client.get_model_version_by_alias(name, "champion").tags
        assert tags["easel.recipe"] == "smoke"
        assert tags[f"easel.fingerprint.{made}"] == fingerprint(clone.lock()[made])
        assert client.get_run(tags[f"easel.run.{made}"]).info.run_name == made


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
    """The usual profile, but with a checkpoint every second step; another number of threads would round otherwise."""
    profile = clone.root / "infra" / "profiles" / "impatient.yaml"
    profile.write_text(profile.with_name("cpu.yaml").read_text() + "checkpoint_every_steps: 2\n")
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
        deadline = time.monotonic() + 300
        while newest(kept) <= reached:
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        family = [*psutil.Process(running.pid).children(recursive=True), running]
        for process in family:
            process.kill()
        running.wait(60)
        psutil.wait_procs(family[:-1], timeout=60)
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
