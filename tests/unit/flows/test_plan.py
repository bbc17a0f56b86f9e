"""`easel plan` on the committed recipes and profiles: a plan for each training stage, without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from components.models.cost import parameter_count
from components.models.transformer import build_transformer
from components.training.plan_memory import BUCKET_ELEMENTS
from flows import plan
from flows.cli import app
from flows.parameters import ParameterError
from flows.settings import load_profile

ROOT = Path(__file__).resolve().parents[3]
RECIPES = sorted(file.stem for file in (ROOT / "infra" / "recipes").glob("*.yaml"))
PROFILES = sorted(file.stem for file in (ROOT / "infra" / "profiles").glob("*.yaml"))


TURBO = ["expert_lettering", "expert_style", "distill"]


def plans(recipe: str, profile: str, **options) -> list[plan.StagePlan]:
    options = {"utilisation": 0.35, "text_tokens": None} | options
    return plan.recipe_plans(ROOT, recipe, load_profile(ROOT, profile), **options)


@pytest.mark.parametrize("recipe", ["", *RECIPES])
def test_a_recipe_s_networks_are_built_as_planned(recipe):
    for found in plans(recipe, "cpu"):
        work = found.work
        with torch.device("meta"):
            network = build_transformer(work.model, work.in_channels, work.text_in_dim)
        assert sum(weight.numel() for weight in network.parameters()) == work.parameters, found.stage


def test_the_recipe_of_ernie_image_is_the_released_model_at_its_resolutions():
    found = plans("ernie-image-8b", "h100x64")
    assert [one.px for one in found] == [256, 512, *[1024] * 5]
    assert {one.work.parameters for one in found} == {8_033_490_048}
    assert {(one.work.in_channels, one.work.text_in_dim) for one in found} == {(128, 3072)}
    assert parameter_count(found[0].work.model, 128, 3072) / 1e9 == pytest.approx(8.03, abs=0.005)


@pytest.mark.parametrize("profile", ["h100x1", "h100x8", "h100x64"])
def test_the_large_model_has_a_setting_on_every_gpu_profile(profile):
    for found in plans("ernie-image-8b", profile):
        assert found.best is not None
        assert found.best.fits
        assert found.own is not None
        assert found.own.fits or found.change


@pytest.mark.parametrize("profile", ["h100x8", "h100x64"])
def test_the_profiles_for_many_gpus_hold_the_large_model_as_they_stand(profile):
    assert all(found.own is not None and found.own.fits for found in plans("ernie-image-8b", profile))


def test_one_gpu_at_a_twentieth_of_its_peak_trains_in_under_twenty_minutes_and_distils_in_an_hour():
    speeds = [found.own.speed for found in plans("single-gpu", "h100x1", utilisation=0.05) if found.own]
    minutes = [60 * speed.hours for speed in speeds if speed]
    assert len(minutes) == 7
    assert sum(minutes[:4]) < 20
    assert sum(minutes[4:]) < 60


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_read(profile):
    assert load_profile(ROOT, profile).name == profile


def test_a_longer_text_costs_more():
    short, long = (plans("ernie-image-8b", "h100x8", text_tokens=tokens)[0] for tokens in (64, 512))
    assert (short.work.text_tokens, long.work.text_tokens) == (64, 512)
    assert short.own is not None
    assert long.own is not None
    assert short.own.model_flops < long.own.model_flops
    assert plans("ernie-image-8b", "h100x8", text_tokens=10**6)[0].work.text_tokens == 2048


def test_fine_tuning_is_padded_to_the_longest_of_its_prompts_and_of_earlier_captions():
    assert [found.work.text_tokens for found in plans("", "cpu")] == [16, 16, 16, *[40] * 4]
    assert plans("ernie-image-8b", "h100x8")[-1].work.text_tokens == 256


@pytest.mark.parametrize("profile", ["h100x8", "h100x64"])
def test_turbo_is_one_backbone_with_adapters_beside_three_copies(profile):
    *_, lettering, style, distill = plans("ernie-image-8b", profile)
    whole, hidden, wide = 8_033_490_048, 4096, 12288
    per_rank = 36 * (4 * 2 * hidden + 3 * (hidden + wide))  # attention's and feed-forward's matrices
    assert [one.work.training for one in (lettering, style)] == [64 * per_rank] * 2
    assert {one.work.frozen for one in (lettering, style)} == {whole}
    assert (distill.work.training, distill.work.frozen) == (2 * 128 * per_rank, whole + 2 * 64 * per_rank)
    one, three = distill.layouts["one backbone"], distill.layouts["three copies"]
    assert one.work == distill.work
    assert (three.work.training, three.work.frozen) == (2 * whole, whole)
    assert one.execution == three.execution
    assert one.execution.strategy.startswith("zero")  # where float32 weights and two moments count as the optimiser's
    parts = one.execution.world_size
    assert one.memory.optimiser == pytest.approx(12 * 2 * 128 * per_rank / parts)
    assert three.memory.optimiser == pytest.approx(12 * 2 * whole / parts)
    assert one.fits
    assert not three.fits


def test_a_batch_that_does_not_divide_is_a_line_of_the_plan(tmp_path):
    text = (ROOT / "params.yaml").read_text().replace("batch_size: 32\n", "batch_size: 33\n")
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    found = plans(str(file), "cpu-2proc")[0]
    assert found.own is None
    assert "33 does not divide" in found.problem


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(ParameterError, match="ernie-image-8b"):
        plans("ernie", "cpu")


def test_the_command_prints_a_table_that_says_what_it_rests_on(monkeypatch):
    monkeypatch.chdir(ROOT)
    shown = CliRunner().invoke(
        app, ["plan", "--recipe", "ernie-image-8b", "--profile", "h100x64"], env={"COLUMNS": "200"}
    )
    assert shown.exit_code == 0
    for words in ("8.033 B parameters", "zero3", "usable", "recommend", "All 7 stages", "12 %", "35%"):
        assert words in shown.stdout
    for words in ("754.97 M of its weights train, 8.411 B do not", "one backbone", "three copies"):
        assert words in shown.stdout


def test_the_command_prints_json(monkeypatch):
    monkeypatch.chdir(ROOT)
    told = json.loads(CliRunner().invoke(app, ["plan", "--profile", "cpu", "--json"]).stdout)
    assert [stage["stage"] for stage in told] == [*(f"pretrain_{phase}" for phase in (1, 2, 3)), "sft", *TURBO]
    assert told[0]["own"]["memory"]["total"] > 0
    assert told[0]["layouts"] == {}
    assert {"frozen", "optimiser", "total"} < told[-1]["layouts"]["three copies"]["memory"].keys()


def test_planning_imports_no_torch():
    code = f"""
import sys
from pathlib import Path
from flows import plan, plan_view, settings
root = Path({str(ROOT)!r})
profile = settings.load_profile(root, "h100x64")
plans = plan.recipe_plans(root, "ernie-image-8b", profile, utilisation=0.35, text_tokens=None)
plan_view.show_plans(plans, profile, 0.35)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_the_buckets_are_those_that_deepspeed_is_told():
    from components.training import strategies

    assert strategies.BUCKET_ELEMENTS == BUCKET_ELEMENTS
