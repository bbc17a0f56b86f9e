"""What must be known of a trained model beside its weights: `training.json` in its directory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RECORD_FILE = "training.json"


@dataclass(frozen=True)
class TrainingRecord:
    """Side of the images of its last phase, shift of its sampling times, and images seen in that phase."""

    px: int
    shift: float
    images_seen: int


def read_training_record(directory: Path) -> TrainingRecord:
    """The record; ValueError says what is missing. Other keys in the file are left to those who wrote them."""
    file = directory / RECORD_FILE
    if not file.is_file():
        raise ValueError(
            f"no trained model in {directory}: {RECORD_FILE} is missing; run the pre-training stages first"
        )
    stored = json.loads(file.read_text(encoding="utf-8"))
    missing = [name for name in TrainingRecord.__dataclass_fields__ if name not in stored]
    if missing:
        raise ValueError(f"{file} lacks {', '.join(missing)}; run the pre-training stages again")
    return TrainingRecord(int(stored["px"]), float(stored["shift"]), int(stored["images_seen"]))


def read_training_records(directories: Mapping[str, Path]) -> dict[str, TrainingRecord]:
    """The record of each model; ValueError if they draw at different resolutions, and so cannot be compared."""
    records = {name: read_training_record(directory) for name, directory in directories.items()}
    if len({record.px for record in records.values()}) > 1:
        sides = ", ".join(f"{name} {record.px} px" for name, record in records.items())
        raise ValueError(f"the models draw at different sizes: {sides}; train them at one resolution")
    return records
