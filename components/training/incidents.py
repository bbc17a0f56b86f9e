"""Files about what went wrong in training, one per process, for whoever looks into it later."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.training.ranks import place


def write_incident(folder: Path, kind: str, images_seen: int, facts: Mapping[str, Any]) -> Path:
    """Write `facts` as JSON, whole or not at all, and survive a crash right after; returns the file."""
    rank, world_size = place()
    record = {"kind": kind, "images_seen": images_seen, "rank": rank, "world_size": world_size, **facts}
    file = incident_file(folder, kind, images_seen)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(record, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
    return file


def incident_file(folder: Path, kind: str, images_seen: int, ending: str = "json") -> Path:
    """Where this process describes an incident; the folder is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{kind}-{images_seen:012d}-rank{place()[0]}.{ending}"
