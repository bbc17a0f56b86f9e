"""A watch remembers what it saw, keeps the weights it means, and takes no others for them."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_training import tiny_denoiser

from components.training.watch import KEPT, LOOKS, Watch


class Told:
    def __init__(self):
        self.metrics = []

    def log_metrics(self, metrics, step):
        self.metrics.append((step, dict(metrics)))

    def log_image(self, key, image_u8, step): ...

    def progress(self, done, total, **fields): ...


class Planned(Watch):
    """Sees a score planned for each number of images; below 0 is a fault; keeps the last or the highest."""

    def __init__(self, folder, scores, keeps="last"):
        self.told = Told()
        super().__init__(self.told, folder, "planned/")
        self.scores, self.keeps = scores, keeps

    def measure(self, denoiser, images_seen):
        return {"score": float(self.scores[images_seen]), "updates": images_seen // 2}

    def why(self, looks):
        return "below 0" if looks[-1]["score"] < 0 else ""

    def best(self, looks):
        return max(looks, key=lambda look: look["score"]) if self.keeps == "highest" else super().best(looks)


def weights_at(images_seen):
    """A network all of whose weights say after how many images they stood so."""
    denoiser = tiny_denoiser()
    with torch.no_grad():
        for weight in denoiser.parameters():
            weight.fill_(float(images_seen))
    return denoiser


def look(watch, *images):
    for images_seen in images:
        watch(weights_at(images_seen), images_seen, "averaged")


def kept_of(watch):
    values = {float(value) for weight in watch.kept().values() for value in weight.flatten()}
    assert len(values) == 1
    return values.pop()


@pytest.mark.parametrize("has_folder", [True, False])
@pytest.mark.parametrize(("keeps", "kept"), [("last", 20), ("highest", 10)])
def test_it_keeps_the_weights_of_the_look_it_means_and_never_of_one_with_a_fault(tmp_path, has_folder, keeps, kept):
    watch = Planned(tmp_path if has_folder else None, {0: 1, 10: 3, 20: 2, 30: -1}, keeps)
    watch.begin(0)
    look(watch, 0, 10, 20)
    assert watch.reason == ""
    look(watch, 30)
    assert watch.reason == "below 0"
    assert (watch.kept_look["images_seen"], kept_of(watch)) == (kept, kept)
    assert watch.kept().keys() == dict(tiny_denoiser().named_parameters()).keys()
    # Whole numbers are remembered but are no measures.
    assert watch.told.metrics[1] == (10, {"planned/score": 3.0})


def test_the_loss_of_the_step_before_stands_in_the_look(tmp_path):
    watch = Planned(tmp_path, {0: 1, 10: 1})
    look(watch, 0)
    watch.terms = {"loss": 0.5, "fake": 2.0}
    look(watch, 10)
    assert [one.get("train_loss") for one in watch.looks] == [None, 0.5]


@pytest.mark.parametrize("keeps", ["last", "highest"])
@pytest.mark.parametrize("continued_at", [10, 15, 20, 25])
def test_one_that_continues_ends_as_one_that_was_not_killed(tmp_path, keeps, continued_at):
    scores = {0: 1, 10: 3, 20: 4, 30: 2}
    whole = Planned(tmp_path / "whole", scores, keeps)
    look(whole, 0, 10, 20, 30)
    look(Planned(tmp_path / "kept", scores, keeps), 0, 10, 20)
    watch = Planned(tmp_path / "kept", scores, keeps)
    watch.begin(continued_at)
    look(watch, *(one for one in scores if one > continued_at))
    assert watch.looks == whole.looks
    assert kept_of(watch) == kept_of(whole)
    for name in (LOOKS, KEPT):
        assert (tmp_path / "kept" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_weights_say_after_how_many_images_they_stood_so(tmp_path):
    look(Planned(tmp_path, {0: 1, 10: 1}), 0, 10)
    with safe_open(tmp_path / KEPT, framework="pt") as weights:
        assert weights.metadata() == {"images_seen": "10"}


def test_weights_of_another_look_are_not_taken_for_those_of_the_looks(tmp_path):
    """After a kill at 20 it goes on from 10, and sees a fault at 20 this time: the weights of 10 are gone."""
    look(Planned(tmp_path, {0: 1, 10: 2, 20: 3}), 0, 10, 20)
    watch = Planned(tmp_path, {20: -1, 30: 1})
    watch.begin(10)
    look(watch, 20)
    with pytest.raises(ValueError, match="the weights of the looks before this attempt are gone"):
        watch.kept()
    look(watch, 30)  # the next one without a fault has weights again
    assert (watch.kept_look["images_seen"], kept_of(watch)) == (30, 30)


@pytest.mark.parametrize("metadata", [None, {"images_seen": "10"}])
def test_weights_that_are_of_another_look_at_the_end_are_refused(tmp_path, metadata):
    watch = Planned(tmp_path, {0: 1})
    look(watch, 0)
    save_file(load_file(tmp_path / KEPT), tmp_path / KEPT, metadata)
    with pytest.raises(ValueError, match=r"kept\.safetensors: its weights are of (None|10) images and the look's of 0"):
        watch.kept()


def test_a_new_training_in_an_old_folder_forgets_what_was_seen(tmp_path):
    look(Planned(tmp_path, {0: 5, 10: 7}), 0, 10)
    watch = Planned(tmp_path, {0: 1}, "highest")
    watch.begin(0)
    assert (watch.looks, watch.reason) == ([], "")
    look(watch, 0)
    assert kept_of(watch) == 0
    assert [json.loads(line)["score"] for line in (tmp_path / LOOKS).read_text().splitlines()] == [1]


def test_a_line_that_a_kill_cut_short_is_no_look(tmp_path):
    look(Planned(tmp_path, {0: 1, 10: 2}), 0, 10)
    with (tmp_path / LOOKS).open("a") as file:
        file.write('{"images_seen": 2')
    watch = Planned(tmp_path, {})
    watch.begin(30)
    assert [one["images_seen"] for one in watch.looks] == [0, 10]
