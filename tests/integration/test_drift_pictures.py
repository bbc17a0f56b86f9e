"""Pictures of a tiny student and its teacher are drawn and measured, always alike; a planted loss is seen as one."""

import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from tiny_preferences import PX, write_inputs

from components.data.latents import read_buckets
from components.data.records import SELECTION, read_table, write_table
from components.models.autoencoder import load_autoencoder
from components.models.denoiser import Denoiser
from components.models.transformer import load_transformer
from components.samplers.config import SamplingConfig
from components.samplers.drawing import draw_images
from components.training.distillation_watch import drift_of
from flows.drift_pictures import DriftPictures, drift_pictures

JUDGES = {"alignment": 1.0, "aesthetic_proxy": 0.5, "lettering": 0.0}
TEACHER, STUDENT = SamplingConfig(6, 2.0, 4), SamplingConfig(2, 1.0, 5)
PICTURES = DriftPictures(3, 2, TEACHER, STUDENT, 2.0, JUDGES, 0)
DOMAINS = {f"request{row}": "poster" if row in (0, 2, 4, 8, 9, 10, 11) else "symbol" for row in range(12)}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("drift"))


@pytest.fixture(scope="module")
def denoiser(inputs):
    return Denoiser(load_transformer(inputs["model"] / "transformer"))


def measures(inputs, pictures=PICTURES, domains=DOMAINS):
    return drift_pictures(
        read_buckets(inputs["sft_latents"], PX),
        domains,
        read_buckets(inputs["latents"], PX),
        pictures,
        inputs["classifier"],
        inputs["scorer"],
        load_autoencoder(inputs["autoencoder"]),
    )


class Blind(torch.nn.Module):
    """A network that draws the same picture whatever the noise: it goes from the noise straight to a fixed image."""

    def __init__(self, denoiser):
        super().__init__()
        self.denoiser = denoiser
        self.target = torch.randn(16, 2, 2, generator=torch.Generator().manual_seed(1))

    def forward(self, x_t, t, condition):
        return (x_t - self.target) / t[:, None, None, None]


def test_every_domain_has_every_measure_and_a_look_is_the_same_again(inputs, denoiser):
    student, teacher = measures(inputs)
    first = student(denoiser)
    of_domains = {f"{d}/{m}" for d in ("poster", "symbol", "general", "all") for m in ("alignment", "aesthetic_proxy")}
    of_domains |= {f"{domain}/diversity" for domain in ("poster", "symbol", "general", "all")}
    assert first.keys() == teacher(denoiser).keys() == of_domains | {"all/frechet", "all/saturation"}
    assert all(np.isfinite(value) and value > 0 for value in first.values())
    assert student(denoiser) == first == measures(inputs)[0](denoiser)
    for name in ("alignment", "aesthetic_proxy"):
        of_each = [first[f"{domain}/{name}"] for domain in ("poster", "symbol", "general")]
        assert 0 < min(of_each) <= max(of_each) < 1
        assert first[f"all/{name}"] == pytest.approx(np.mean(of_each))


def test_a_student_that_draws_as_its_teacher_has_no_drift(inputs, denoiser):
    alike = DriftPictures(**{**vars(PICTURES), "student": TEACHER})
    student, teacher = measures(inputs, alike)
    assert set(drift_of(student(denoiser), teacher(denoiser)).values()) == {1.0}


def test_the_size_of_batches_changes_numbers_only_by_rounding(inputs, denoiser):
    one = measures(inputs, DriftPictures(**{**vars(PICTURES), "student": SamplingConfig(2, 1.0, 1)}))[0](denoiser)
    for name, value in measures(inputs)[0](denoiser).items():
        assert one[name] == pytest.approx(value, rel=1e-2), name


def test_a_student_that_draws_one_picture_has_no_diversity(inputs, denoiser):
    found = measures(inputs)[0](Blind(denoiser))
    assert found["all/diversity"] == pytest.approx(0, abs=1e-6)
    assert {found[f"{domain}/diversity"] for domain in ("poster", "symbol", "general")} == {0.0}


def test_a_domain_whose_labels_nobody_knows_is_told_from_the_others_by_its_real_images(inputs, denoiser, tmp_path):
    """Here the real images are all alike, so that nothing but their numbers tells them apart: 7, 5 and 4."""
    folder = tmp_path / "sft_latents"
    shutil.copytree(inputs["sft_latents"], folder)
    rows = read_table(folder / "rows.parquet", SELECTION).to_pylist()
    strange = [{**row, "style": "lettering", "category": "text"} for row in rows]
    write_table(pa.Table.from_pylist(strange, schema=SELECTION), folder / "rows.parquet")
    found = measures({**inputs, "sft_latents": folder})[0](denoiser)
    assert found["poster/alignment"] == pytest.approx(7 / 16, abs=0.01)
    assert found["symbol/alignment"] == pytest.approx(5 / 16, abs=0.01)
    assert found["general/alignment"] == measures(inputs)[0](denoiser)["general/alignment"]


def test_only_the_judges_that_weigh_something_are_asked(inputs, denoiser):
    alone = DriftPictures(**{**vars(PICTURES), "judges": {"aesthetic_proxy": 0.0}})
    found = measures(inputs, alone)[0](denoiser)
    assert {name.rpartition("/")[2] for name in found} == {"alignment", "diversity", "frechet", "saturation"}


def test_lettering_is_only_of_domains_that_are_asked_for_words(inputs, denoiser):
    letters = DriftPictures(**{**vars(PICTURES), "judges": {"alignment": 1.0, "lettering": 1.0}})
    assert not any(name.endswith("lettering") for name in measures(inputs, letters)[0](denoiser))


def test_pictures_are_those_of_the_sampler(inputs, denoiser):
    """The first prompt drawn alone by `draw_images` from the same noise has the colours that are measured."""
    from components.evaluation.drift import saturation
    from flows.drift_prompts import domain_parts, domain_prompts

    one = DriftPictures(**{**vars(PICTURES), "num_prompts_per_domain": 1})
    curated = read_buckets(inputs["sft_latents"], PX)
    parts = domain_parts(curated, DOMAINS, read_buckets(inputs["latents"], PX))
    prompts = [prompt for domain, rows in parts.items() for prompt in domain_prompts(domain, rows, 1, one.seed)]
    texts = [
        torch.from_numpy(each.store.texts.of(each.prompt.text_number).astype(np.float32))
        for each in prompts
        for _ in "12"
    ]
    empty = torch.from_numpy(next(iter(curated.values())).texts.of(0).astype(np.float32))
    noise = torch.randn(len(texts), 16, 2, 2, generator=torch.Generator().manual_seed(one.seed))
    images_u8 = draw_images(
        denoiser, load_autoencoder(inputs["autoencoder"]), texts, empty, noise, config=TEACHER, shift=one.shift
    )
    assert measures(inputs, one)[1](denoiser)["all/saturation"] == pytest.approx(saturation(images_u8), rel=1e-3)


def test_a_domain_without_prompts_is_refused_before_anything_is_drawn(inputs):
    with pytest.raises(ValueError, match="domain 'product' has no prompt to measure it by"):
        measures(inputs, domains={**DOMAINS, "gone": "product"})


@pytest.mark.parametrize("wrong", [{"num_prompts_per_domain": 0}, {"images_per_prompt": 1}])
def test_settings_at_fault_are_refused(wrong):
    with pytest.raises(ValueError, match="of one there is no diversity"):
        DriftPictures(**{**vars(PICTURES), **wrong})
