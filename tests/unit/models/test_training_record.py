import json
from pathlib import Path
from typing import Any

import pytest

from components.models.training_record import Drift, StatedSampling, TrainingRecord, read_training_record

PLAIN = {"px": 64, "shift": 3.0, "images_seen": 1280}
DISTILLED = {"num_steps": 8, "guidance_scale": 1.0, "rollout": "euler"}


def look(images_seen: int, ratio: float, reason: str = "") -> dict[str, Any]:
    values = {"student/poster/alignment": 0.2 * ratio, "teacher/poster/alignment": 0.2}
    return {"images_seen": images_seen, **values, "drift/poster/alignment": ratio, "saturation": 1.1, "reason": reason}


def record(folder: Path, **facts: Any) -> TrainingRecord:
    taught = {"training": {"committee": {"experts": ["general", "lettering"]}}}
    (folder / "training.json").write_text(json.dumps(PLAIN | taught | facts))
    return read_training_record(folder)


def test_a_model_that_was_not_distilled_is_drawn_as_one_likes(tmp_path: Path) -> None:
    assert record(tmp_path, looks=[{"accuracy": 0.5, "reason": ""}]) == TrainingRecord(64, 3.0, 1280)
    assert record(tmp_path).drift == []


def test_a_distilled_model_says_how_it_is_drawn_and_who_taught_it(tmp_path: Path) -> None:
    found = record(tmp_path, distilled=DISTILLED)
    assert found.few_steps == StatedSampling(8, 1.0)
    assert found.teachers == ("general", "lettering")
    assert found.drift == []


def test_the_drift_is_that_of_the_weights_that_were_kept(tmp_path: Path) -> None:
    looks = [look(0, 0.5), look(100, 0.97), look(200, 0.96), look(300, 0.4, reason="collapsed")]
    assert record(tmp_path, distilled=DISTILLED, looks=looks, images_seen=100).drift == [
        Drift("poster", "alignment", 0.2 * 0.97, 0.2, 0.97)
    ]


@pytest.mark.parametrize("wrong", [{"num_steps": 0}, {"guidance_scale": -1.0}, {"guidance_scale": float("nan")}])
def test_what_no_sampler_can_do_is_refused(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cannot be drawn; steps are at least 1"):
        record(tmp_path, distilled=DISTILLED | wrong)
