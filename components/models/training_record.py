"""What must be known of a trained model beside its weights: `training.json` in its directory."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

RECORD_FILE = "training.json"
REQUIRED = ("px", "shift", "images_seen")


@dataclass(frozen=True)
class StatedSampling:
    """How a distilled model is drawn: as it was trained to be. ValueError for what no sampler can do."""

    num_steps: int
    guidance_scale: float

    def __post_init__(self) -> None:
        if self.num_steps < 1 or not 0 <= self.guidance_scale < math.inf:
            raise ValueError(
                f"{self.num_steps} steps at guidance {self.guidance_scale} cannot be drawn; "
                "steps are at least 1, guidance is finite and at least 0"
            )


@dataclass(frozen=True)
class Drift:
    """A measure of one domain's pictures: the student's, the teacher's, and their ratio, 1 for as good, less for worse.

    Where less is better (a distance) the ratio is teacher over student.
    """

    domain: str
    measure: str
    student: float
    teacher: float
    ratio: float


@dataclass(frozen=True)
class TrainingRecord:
    """Side of the images of its last phase, shift of its sampling times, and images seen in that phase.

    A distilled model also says how it is drawn, who taught it, and what was measured at the looks at its training.
    """

    px: int
    shift: float
    images_seen: int
    few_steps: StatedSampling | None = None
    teachers: tuple[str, ...] = ()
    looks: tuple[Mapping[str, Any], ...] = ()

    @property
    def drift(self) -> list[Drift]:
        """What the look at the weights that were kept found, which is the one after `images_seen`."""
        kept = next((look for look in self.looks if look["images_seen"] == self.images_seen), {})
        return [
            Drift(domain, measure, kept[f"student/{key}"], kept[f"teacher/{key}"], kept[f"drift/{key}"])
            for key in (name.removeprefix("drift/") for name in kept if name.startswith("drift/"))
            for domain, _, measure in [key.partition("/")]
        ]


def read_training_record(directory: Path) -> TrainingRecord:
    """The record; ValueError says what is missing. Other keys in the file are left to those who wrote them."""
    file = directory / RECORD_FILE
    if not file.is_file():
        raise ValueError(
            f"no trained model in {directory}: {RECORD_FILE} is missing; run the pre-training stages first"
        )
    stored = json.loads(file.read_text(encoding="utf-8"))
    missing = [name for name in REQUIRED if name not in stored]
    if missing:
        raise ValueError(f"{file} lacks {', '.join(missing)}; run the pre-training stages again")
    record = TrainingRecord(int(stored["px"]), float(stored["shift"]), int(stored["images_seen"]))
    if "distilled" not in stored:
        return record
    told = stored["distilled"]
    return replace(
        record,
        few_steps=StatedSampling(int(told["num_steps"]), float(told["guidance_scale"])),
        teachers=tuple(stored.get("training", {}).get("committee", {}).get("experts", ())),
        looks=tuple(stored.get("looks", ())),
    )


def read_training_records(directories: Mapping[str, Path]) -> dict[str, TrainingRecord]:
    """The record of each model; ValueError if they draw at different resolutions, and so cannot be compared."""
    records = {name: read_training_record(directory) for name, directory in directories.items()}
    if len({record.px for record in records.values()}) > 1:
        sides = ", ".join(f"{name} {record.px} px" for name, record in records.items())
        raise ValueError(f"the models draw at different sizes: {sides}; train them at one resolution")
    return records
