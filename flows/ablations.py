"""What ablations share: trainings side by side, each a run below one, and the folder that says how they compare.

They are no stages: nothing stands on them, and they change no artifact of the pipeline.
"""

import json
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flows import settings
from flows.declaration import Stage
from flows.run import check_inputs
from flows.workspace import git_state

if TYPE_CHECKING:
    import numpy as np

    from components.tracking import Run

TABLE, FIGURES = "table.md", "table.json"
Progress = Callable[[str, int, int], None]
"""Is told a training's title, how many images it has seen and how many it will see."""


def folder_of(what: str) -> Path:
    """Where the ablation of that name leaves everything, below the root."""
    return Path("artifacts/ablations") / what


def check_possible(stage: Stage, root: Path, profile: settings.Profile) -> None:
    """Refuse to begin what cannot be done.

    Raises:
        ValueError: an input of `stage` is missing, or the profile trains in several processes.
    """
    if profile.execution.world_size > 1:
        raise ValueError(f"profile {profile.name} trains in several processes, `ablate` in one; choose --profile cpu")
    check_inputs(stage, root)


class Ablation:
    """An ablation at work; its trainings may be opened one after another."""

    def __init__(self, root: Path, what: str, parent: "Run", on_progress: Progress) -> None:
        self.folder = root / folder_of(what)
        self._root, self._what, self._parent, self._on_progress = root, what, parent, on_progress

    @contextmanager
    def arm(self, name: str, title: str, config: Any) -> Generator["Run"]:
        """The run of one training, with its settings."""
        from components import tracking

        def tell(done: int, total: int, fields: Mapping[str, Any]) -> None:
            self._on_progress(title, done, total)

        store, tags = settings.tracking_store(self._root), tags_of(self._root, self._what)
        with tracking.open_run(name, **store, parent_run_id=self._parent.ref, tags=tags, on_progress=tell) as run:
            run.log_params(asdict(config))
            yield run

    def save_grid(self, name: str, grid_u8: "np.ndarray") -> None:
        """Leave a sheet of pictures."""
        save_picture(grid_u8, self.folder / f"grid_{name}.png")

    def leave(self, table: str, figures: Mapping[str, Any], chart: str, chart_u8: "np.ndarray") -> dict[str, Any]:
        """Write table, figures and chart, and log the whole folder; returns the figures as JSON says them."""
        said = finite(figures)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / TABLE).write_text(table, encoding="utf-8")
        (self.folder / FIGURES).write_text(json.dumps(said, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        save_picture(chart_u8, self.folder / chart)
        self._parent.log_artifact(self.folder)
        return said


@contextmanager
def open_ablation(root: Path, what: str, request: Any, on_progress: Progress) -> Generator[Ablation]:
    """The run of an ablation, which ends with the block; `request` is a dataclass."""
    from components import tracking

    store = settings.tracking_store(root)
    with tracking.open_run(f"ablate_{what}", **store, tags=tags_of(root, what)) as parent:
        parent.log_params(asdict(request))
        yield Ablation(root, what, parent, on_progress)


def tags_of(root: Path, what: str) -> dict[str, str]:
    """Of every run of an ablation."""
    return {"easel.ablation": what, **git_state(root).tags}


def save_picture(pixels_u8: "np.ndarray", file: Path) -> None:
    """Write a PNG."""
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels_u8).save(file)


def finite(value: Any) -> Any:
    """`value` as JSON can say it: numbers that are not finite become null."""
    match value:
        case dict():
            return {str(name): finite(one) for name, one in cast(dict[Any, Any], value).items()}
        case list() | tuple():
            return [finite(one) for one in cast(Sequence[Any], value)]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
