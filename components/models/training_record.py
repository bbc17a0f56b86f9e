"""What must be known of a trained model beside its weights: `training.json` in its directory."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

RECORD_FILE = "training.json"


@dataclass(frozen=True)
class TrainingRecord:
    """Side of the images it was trained on last, shift of its times, and images seen in all phases."""

    resolution_px: int
    shift: float
    images_seen: int


def write_training_record(directory: Path, record: TrainingRecord) -> None:
    """Write the record into the model's directory."""
    (directory / RECORD_FILE).write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


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
    return TrainingRecord(int(stored["resolution_px"]), float(stored["shift"]), int(stored["images_seen"]))
