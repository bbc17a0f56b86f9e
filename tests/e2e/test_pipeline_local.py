"""The whole pipeline with the smoke recipe under the local executor: the bytes that Prefect leaves, and what uses them.

The second half of test_pipeline.py, in a clone of its own.
"""

import subprocess
import sys

import numpy as np
import pytest
import yaml
from mlflow.tracking import MlflowClient
from PIL import Image
from safetensors.torch import load_file

from flows.pipeline import PIPELINE
from flows.server import answers, start_mlflow, stop

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]
NEVER_THE_SAME = {"register", "register_turbo"}  # their receipts name the registry's version
EXPERTS = ("expert_lettering", "expert_style")  # safetensors writes the two notes in an adapter's file in either order


@pytest.fixture(scope="module")
def built(new_clone):
    """A clone in which the smoke recipe was built by the local executor, and its lock right after."""
    clone = new_clone()
    clone.easel("run", "--recipe", "smoke", "--executor", "local")
    return clone, clone.lock()


@pytest.fixture
def clone(built):
    return built[0]


def test_the_local_build_ran_every_stage(clone):
    assert tuple(clone.ran(0)) == PIPELINE.names


def test_stock_diffusers_draws_with_the_export_and_its_enhancer_in_a_process_without_this_project(clone, tmp_path):
    code = """
import sys, torch
from diffusers import ErnieImagePipeline
pipeline = ErnieImagePipeline.from_pretrained(sys.argv[1])
for use_pe in (True, False):
    drawn = pipeline("a red apple", height=64, width=64, num_inference_steps=4, guidance_scale=3.0, use_pe=use_pe,
                     generator=torch.Generator().manual_seed(0))
    assert (drawn.revised_prompts is not None) == use_pe
    assert drawn.images[0].size == (64, 64)
assert not {"components", "flows"} & set(sys.modules)
drawn.images[0].save(sys.argv[2])
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

    first = draw("1", "a.png")
    assert draw("1", "b.png") == first
    assert draw("2", "c.png") != first
    clone.easel("generate", "a red apple, blob style", "--model", "turbo", "-o", str(tmp_path / "turbo.png"))
    said = Image.open(tmp_path / "turbo.png").text
    assert (said["steps"], said["guidance"]) == ("8", "1.0")
    refused = clone.easel("generate", "an apple", "--model", "nobody", check=False)
    assert refused.returncode == 1
    assert len(refused.stderr.strip().splitlines()) == 1


def test_the_mlflow_page_opens_on_the_runs(clone):
    server = start_mlflow(clone.root)
    try:
        assert answers(f"{server.url}/")
        names = [m.name for m in MlflowClient(server.url).search_registered_models()]
        assert sorted(names) == ["easel", "easel-turbo"]
        assert all(MlflowClient(server.url).get_model_version_by_alias(name, "candidate") for name in names)
    finally:
        stop(server)


def test_a_touched_parameter_reruns_its_descendants(clone):
    params = clone.root / "params.yaml"
    blocks = yaml.safe_load(params.read_text())
    blocks["evaluate"]["seed"] += 1
    params.write_text(yaml.safe_dump(blocks, sort_keys=False))
    clone.easel("run", "--executor", "local")
    assert set(clone.ran(-1)) == {"evaluate"} | PIPELINE.descendants("evaluate")


def test_both_executors_make_the_same_bytes(built, under_prefect):
    """Last: the other worker may still be at its build."""
    assert without_adapters(built[1]) == without_adapters(under_prefect[1])
    for stage in EXPERTS:
        here, there = (files_of(clone, stage) for clone in (built[0], under_prefect[0]))
        assert here == there


def without_adapters(lock: dict) -> dict:
    """What both builds must have in common, but for the folders that hold adapters."""
    folders = {PIPELINE[stage].outputs["model"] for stage in EXPERTS}
    kept: dict[str, dict] = {}
    for stage in lock.keys() - NEVER_THE_SAME:
        entry = lock[stage]
        files = {
            kind: [file for file in entry.get(kind, []) if file["path"] not in folders] for kind in ("deps", "outs")
        }
        kept[stage] = entry | files
    return kept


def files_of(clone, stage: str) -> dict:
    """The content of a model's folder by name: of adapters the numbers, of everything else the bytes."""
    folder = clone.root / PIPELINE[stage].outputs["model"]
    return {
        file.relative_to(folder).as_posix(): {name: part.numpy().tobytes() for name, part in load_file(file).items()}
        if file.parent.name == "lora"
        else file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }
