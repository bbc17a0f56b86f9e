"""What a watch over distillation says of a student beside its teacher, by hand computation."""

import re

import pytest
import torch
from tiny_training import tiny_denoiser

from components.training.distillation_watch import DistillationWatch, drift_of, least_share, why_to_end
from components.training.drift_config import DriftWatchConfig

CONFIG = DriftWatchConfig(every_updates=10, min_diversity=0.5, max_saturation=1.5, max_quality_fall=0.2, patience=2)
TEACHER = {
    "poster/alignment": 0.5,
    "nature/alignment": 0.4,
    "all/alignment": 0.45,
    "poster/diversity": 2.0,
    "nature/diversity": 4.0,
    "all/diversity": 3.0,
    "poster/lettering": 0.0,
    "all/frechet": 100.0,
    "all/saturation": 50.0,
}


class Told:
    def __init__(self):
        self.metrics = []

    def log_metrics(self, metrics, step):
        self.metrics.append((step, dict(metrics)))

    def log_image(self, key, image_u8, step): ...

    def progress(self, done, total, **fields): ...


def test_drift_is_the_share_that_the_student_keeps_and_of_a_distance_the_inverse():
    student = {**TEACHER, "poster/alignment": 0.4, "nature/diversity": 5.0, "all/frechet": 125.0}
    drift = drift_of(student, TEACHER)
    assert drift["poster/alignment"] == pytest.approx(0.8)
    assert drift["nature/diversity"] == pytest.approx(1.25)
    assert drift["all/frechet"] == pytest.approx(0.8)
    assert "poster/lettering" not in drift  # the teacher has no letters to lose
    assert {name for name in drift if drift[name] == 1.0} == drift.keys() - {
        "poster/alignment",
        "nature/diversity",
        "all/frechet",
    }


def test_what_was_not_measured_of_both_has_no_drift():
    student = {"a/alignment": 0.5, "c/alignment": 1.0, "d/alignment": float("nan")}
    assert drift_of(student, {"a/alignment": 1.0, "b/alignment": 1.0, "d/alignment": 1.0}) == {"a/alignment": 0.5}


def look(all_alignment=0.4, saturation=1.0, fake=None, **drift):
    given = {f"drift/{name.replace('_', '/')}": value for name, value in drift.items()}
    fakes = {} if fake is None else {"fake_loss": fake}
    return {"student/all/alignment": all_alignment, "saturation": saturation, **fakes, **given, "reason": ""}


START = look()


@pytest.mark.parametrize(
    ("looks", "reason"),
    [
        ([look(saturation=9.0, poster_diversity=0.01)], ""),
        ([look(all_alignment=float("nan"))], "student/all/alignment is nan: the student draws no pictures"),
        ([START, look(poster_diversity=0.5, all_diversity=0.9)], ""),
        ([START, look(poster_diversity=0.49, all_diversity=0.9)], "diversity of poster is 49 % of the teacher's"),
        ([START, look(poster_diversity=0.4, nature_diversity=0.3)], "diversity of nature is 30 % of the teacher's"),
        ([START, look(poster_diversity=0.7, all_diversity=0.4)], "diversity of all is 40 % of the teacher's"),
        ([START, look(saturation=1.5)], ""),
        ([START, look(saturation=1.51)], r"colours are 1\.51 times as strong .* allowed are 0\.67 to 1\.50"),
        ([START, look(saturation=0.66)], r"colours are 0\.66 times as strong"),
        ([START, look(0.33)], ""),
        ([START, look(0.31)], r"alignment of all fell by 22.5 % from its best look \(0.4, now 0.31\)"),
        ([START, look(0.5), look(0.39)], r"alignment of all fell by 22.0 % from its best look \(0.5, now 0.39\)"),
        ([START, *[look(fake=one) for one in (1.0, 2.0)]], ""),
        ([START, *[look(fake=one) for one in (1.0, 2.0, 2.0)]], ""),
        ([START, *[look(fake=one) for one in (3.0, 1.0, 2.0)]], ""),
        ([START, *[look(fake=one) for one in (1.0, 2.0, 3.0)]], r"the fake loss rose 2 looks in a row \(1, now 3\)"),
    ],
)
def test_it_says_why_training_should_end(looks, reason):
    found = why_to_end(looks, CONFIG)
    assert re.search(reason, found) if reason else found == ""


def test_without_patience_the_fake_loss_may_rise():
    patient = DriftWatchConfig(**{**vars(CONFIG), "patience": 0})
    assert why_to_end([START, *[look(fake=float(one)) for one in range(9)]], patient) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"every_updates": 0},
        {"min_diversity": 1.0},
        {"min_diversity": -0.1},
        {"max_saturation": 1.0},
        {"max_quality_fall": -0.1},
        {"max_quality_fall": float("nan")},
        {"patience": -1},
    ],
)
def test_settings_at_fault_are_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        DriftWatchConfig(**{**vars(CONFIG), **wrong})


def watch_of(students, folder=None, config=CONFIG, teacher=TEACHER):
    """A watch whose student's numbers are planned look by look."""
    planned = iter(students)
    report = Told()
    return DistillationWatch(lambda denoiser: next(planned), teacher, config, report, folder, lambda n: n // 4), report


def numbered(value):
    denoiser = tiny_denoiser()
    with torch.no_grad():
        for weight in denoiser.parameters():
            weight.fill_(float(value))
    return denoiser


def test_a_look_has_the_student_the_teacher_and_the_drift_under_their_names(tmp_path):
    watch, report = watch_of([{**TEACHER, "poster/alignment": 0.25, "all/saturation": 60.0}], tmp_path)
    watch.terms = {"loss": 1.0, "fake": 0.3, "student": 0.7}
    watch(numbered(0), 8, "averaged")
    (seen,) = watch.looks
    assert (seen["images_seen"], seen["student_updates"], seen["reason"]) == (8, 2, "")
    assert (seen["student/poster/alignment"], seen["teacher/poster/alignment"]) == (0.25, 0.5)
    assert seen["drift/poster/alignment"] == 0.5
    assert seen["saturation"] == pytest.approx(1.2)
    assert "drift/all/saturation" not in seen
    assert (seen["fake_loss"], seen["train_loss"]) == (0.3, 1.0)
    assert report.metrics == [(8, {name: one for name, one in seen.items() if isinstance(one, float)})]


def test_it_keeps_the_look_whose_most_lost_ability_lost_least(tmp_path):
    def student(poster, nature, diversity=3.0):
        mean = (poster + nature) / 2
        return {
            "poster/alignment": poster,
            "nature/alignment": nature,
            "all/alignment": mean,
            "all/diversity": diversity,
        }

    planned = [
        student(0.2, 0.2),  # 0.4 of the poster's
        student(0.4, 0.32),  # 0.8 of both
        student(0.9, 0.2),  # 0.5 of nature's, though the mean is the best of all
        student(0.5, 0.4, diversity=1.8),  # everything but 0.6 of the diversity
        student(0.4, 0.4),  # 0.8 again
    ]
    watch, _ = watch_of(planned, tmp_path, DriftWatchConfig(10, 0.5, 1.5, 0.9, 0))
    kept = []
    for number in range(len(planned)):
        watch(numbered(number), 8 * number, "averaged")
        kept.append(float(next(iter(watch.kept().values())).flatten()[0]))
    assert [least_share(one) for one in watch.looks] == pytest.approx([0.4, 0.8, 0.5, 0.6, 0.8])
    assert kept == [0, 1, 1, 1, 4]  # of two that are equal it is the last


def test_a_teacher_without_numbers_is_refused_before_training():
    with pytest.raises(ValueError, match=r"the teacher's nature/alignment is nan; its weights or judges"):
        watch_of([], teacher={**TEACHER, "nature/alignment": float("nan")})


def test_the_teacher_is_measured_once_at_the_first_look_and_remembered_by_one_that_continues(tmp_path):
    asked = []

    def of_teacher(denoiser):
        asked.append(float(next(denoiser.parameters()).detach().flatten()[0]))
        return {**TEACHER, "poster/alignment": 0.3 + 0.1 * len(asked)}

    student = {**TEACHER, "poster/alignment": 0.2}
    first, _ = watch_of([student, student], tmp_path, teacher=of_teacher)
    first.begin(0)
    first(numbered(7), 0, "averaged")
    first(numbered(8), 8, "averaged")
    continued, _ = watch_of([student], tmp_path, teacher=of_teacher)
    continued.begin(8)
    continued(numbered(9), 16, "averaged")
    assert asked == [7.0]
    assert [look["drift/poster/alignment"] for look in continued.looks] == pytest.approx([0.5] * 3)


def test_a_teacher_that_proves_to_be_without_numbers_is_refused_at_the_first_look():
    watch, _ = watch_of([TEACHER], teacher=lambda denoiser: {**TEACHER, "all/frechet": float("inf")})
    with pytest.raises(ValueError, match="the teacher's all/frechet is inf"):
        watch(numbered(0), 0, "averaged")
