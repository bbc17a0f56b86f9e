"""What a training's own process leaves in the run folder of the samples that it drew, for its record.

That process has what it takes to make the order of samples again (torch and more: seconds to import); its executor has
not. One file, whole or not at all; it counts for the very MLflow run that wrote it, over inputs of the same bytes.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from components.lineage.manifest import pack, unpack
from flows.lineage.drawn import Drawn, drawn_samples
from flows.reports import remark, write_durably

ROLES = ("offered", "drawn", "held_out")


def leave_drawn(root: Path, stage: str, run_dir: Path, run_id: str, inputs: Mapping[str, str]) -> None:
    """Leave what `stage` drew, if it trains; `inputs` is the SHA-256 of what it read, by role. A remark if it fails."""
    try:
        drawn = drawn_samples(root, stage)
        if drawn is None:
            return
        sets = {role: base64.b64encode(pack(getattr(drawn, role))).decode("ascii") for role in ROLES}
        told = {"run": run_id, "inputs": dict(inputs), "consumed": [dict(one) for one in drawn.consumed]}
        write_durably(_file(run_dir, stage), json.dumps({**told, "is_exact": drawn.is_exact, "sets": sets}) + "\n")
    except Exception as error:  # the stage is done: its record is made without this
        line = " ".join(str(error).split()) or type(error).__name__
        remark(stage, f"did not leave which samples it drew: {line}; the executor looks itself")


def left_drawn(stage: str, run_dir: Path, run_id: str, inputs: Mapping[str, str]) -> Drawn | None:
    """What that run left; None where it left nothing, or was another one, or read other bytes."""
    try:
        told = json.loads(_file(run_dir, stage).read_text(encoding="utf-8"))
        if (told["run"], told["inputs"]) != (run_id, dict(inputs)):
            return None
        ids = (frozenset(unpack(base64.b64decode(told["sets"][role], validate=True))) for role in ROLES)
        return Drawn(*ids, consumed=tuple(told["consumed"]), is_exact=told["is_exact"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(run_dir: Path, stage: str) -> Path:
    return run_dir / f"{stage}.drawn.json"
