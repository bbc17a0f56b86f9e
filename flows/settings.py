"""Where this workspace keeps what is not versioned, and what the environment may say.

With `flows/lineage/settings.py`, for the ledger, the only module that reads `os.environ` for Easel's own settings:

    EASEL_HOME          state of this workspace (tracking store, run folders); default `.easel/` at the root
    EASEL_TRACKING_URI  an MLflow server; default SQLite and a folder below EASEL_HOME
    EASEL_PROFILE       where a run executes (a file in infra/profiles/); default `cpu`
    EASEL_DATA_ENGINE   where images are worked on: `threads` (default) or `ray` (the cluster at RAY_ADDRESS)
    EASEL_VLM_API_KEY   the key of the endpoint that captions images, if it wants one; never stored or logged
    EASEL_RUN_DIR, EASEL_SPOOL, EASEL_PARENT_RUN, EASEL_SUPERVISOR   set by an executor for its stage processes
    RANK, WORLD_SIZE, MASTER_PORT, EASEL_MEETING   the place of this process in a distributed stage, and where its ranks
                        meet; set by whoever started them
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from components.training.config import Execution

EXPERIMENT = "easel"
MAX_UNFINISHED = 4
"""How many unfinished trainings a workspace keeps the checkpoints of, beside the one that runs; then the oldest go."""
STOP_GRACE_S = 90.0
"""How long a stage that is asked to stop may take to write its checkpoint, before it is ended."""
MAX_PARTS_BYTES = 20_000_000_000
"""How much a workspace's part store may hold after a build; what was used longest ago goes first."""
PLACE = ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What tells a process its place among the ranks of a stage, in torchrun's words."""
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
    "DAFT_ANALYTICS_ENABLED": "0",
    "DAFT_PROGRESS_BAR": "0",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Telemetry off, and no look-ups on a hub; set in every process of a run."""


class SettingsError(ValueError):
    """The environment or a profile says something that cannot be; one line says what, where and what to do."""


@dataclass(frozen=True)
class Profile:
    """Where a run executes; nothing here changes a result beyond rounding.

    Args:
        threads: CPU threads of one process; 0 leaves the choice to the libraries.
        execution: how training stages run.
        launcher: who starts the processes of a distributed stage: we do (`local`, one machine), or torchrun, Slurm or
            Kubeflow did (`external`, needed for several nodes): there every process runs `python -m flows stage NAME`.
    """

    name: str
    threads: int
    execution: Execution
    launcher: Literal["local", "external"] = "local"

    def __post_init__(self) -> None:
        if self.launcher not in ("local", "external"):
            raise ValueError(f"launcher is {self.launcher!r}; allowed: local, external")
        if self.launcher == "local" and self.execution.num_nodes > 1:
            raise ValueError(f"num_nodes is {self.execution.num_nodes}; several nodes need launcher: external")


def find_root(start: Path) -> Path:
    """The folder with flows/pipeline.py at or above `start`.

    Raises:
        SettingsError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / "flows" / "pipeline.py").is_file():
            return folder
    raise SettingsError(f"{start}: no flows/pipeline.py here or above, so no Easel repository; cd into your clone")


def home(root: Path) -> Path:
    """The state folder of this workspace."""
    return Path(os.environ.get("EASEL_HOME") or root / ".easel").absolute()


def tracking_uri(root: Path) -> str:
    """The MLflow store to write to: a server if one is set, else SQLite in this workspace."""
    return os.environ.get("EASEL_TRACKING_URI") or f"sqlite:///{home(root) / 'mlflow' / 'mlflow.db'}"


def tracking_artifacts(root: Path) -> Path:
    """The folder for MLflow's artifacts when the store is our own."""
    return home(root) / "mlflow" / "artifacts"


def tracking_store(root: Path) -> dict[str, Any]:
    """Where runs are recorded, as the keyword arguments that `components.tracking` takes."""
    artifacts = tracking_artifacts(root)
    artifacts.mkdir(parents=True, exist_ok=True)
    return {"uri": tracking_uri(root), "artifact_root": artifacts, "experiment": EXPERIMENT}


def part_store(root: Path) -> Path:
    """Where stages keep finished parts of their work, to find them again; may be deleted at any time."""
    return home(root) / "parts"


def load_profile(root: Path, name: str | None = None) -> Profile:
    """The execution profile `name`, or the one that the environment names.

    Raises:
        SettingsError: no such profile, or one with unknown or missing keys.
    """
    chosen = name or os.environ.get("EASEL_PROFILE") or "cpu"
    folder = root / "infra" / "profiles"
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    if chosen not in known:
        raise SettingsError(f"no profile is called {chosen!r}; infra/profiles/ holds: {', '.join(known)}")
    values = yaml.safe_load((folder / f"{chosen}.yaml").read_text(encoding="utf-8"))
    try:
        own = {name: values.pop(name) for name in ("threads", "launcher") if name in values}
        return Profile(name=chosen, execution=Execution(**values), **own)
    except (TypeError, KeyError, ValueError) as error:
        raise SettingsError(f"infra/profiles/{chosen}.yaml: {str(error).split('__init__() ')[-1]}") from None


def current_profile() -> Profile:
    """The profile of this process, for a stage function that trains."""
    return load_profile(find_root(Path.cwd()))


def incidents_dir() -> Path:
    """Where a training describes what went wrong: in the run's folder, or below EASEL_HOME outside a run."""
    folder = os.environ.get("EASEL_RUN_DIR")
    return (Path(folder) if folder else home(find_root(Path.cwd()))) / "incidents"


def current_rank() -> int:
    """The place of this process among those of a distributed stage; 0 alone. Only rank 0 writes and logs."""
    return int(os.environ.get("RANK", "0"))


def stand_alone() -> None:
    """Forget the place that somebody else's launcher gave this process, where the profile says that we start the ranks.

    Inside a job of torchrun, a stage would else take itself for one of many, and wait for the others.
    """
    for name in list(os.environ):
        if name in PLACE or name.startswith("TORCHELASTIC_"):
            del os.environ[name]


def num_ranks() -> int:
    """How many processes run this stage together, as whoever started them says; 1 alone."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def meeting() -> tuple[int, int] | None:
    """The descriptor and the port of the socket at which rank 0 serves the others; None if they meet in another way."""
    descriptor = os.environ.get("EASEL_MEETING")
    return (int(descriptor), int(os.environ["MASTER_PORT"])) if descriptor else None


def checkpoints(root: Path) -> Path:
    """Where unfinished trainings keep their checkpoints, by stage and by what they are made from."""
    return home(root) / "checkpoints"


def data_engine() -> Literal["threads", "ray"]:
    """Where the data stages work on batches of images.

    Raises:
        SettingsError: another word.
    """
    match os.environ.get("EASEL_DATA_ENGINE") or "threads":
        case "threads" | "ray" as engine:
            return engine
        case other:
            raise SettingsError(f"EASEL_DATA_ENGINE is {other!r}; allowed: threads, ray")


def vlm_api_key() -> str:
    """The key of the captioning endpoint, "" for none.

    Raises:
        SettingsError: it cannot be sent; the message does not repeat it.
    """
    key = os.environ.get("EASEL_VLM_API_KEY", "").strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError("EASEL_VLM_API_KEY holds more than printable ASCII; set it to the key alone")
    return key


def go_quiet(environment: Mapping[str, str] | None = None) -> None:
    """Set `QUIET` (and `environment`) for this process and its children, keeping what a person has set."""
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    os.environ.update(environment or {})
