"""Open a run, log to it in batches, close it with the right status. MLflow is the store; nothing here imports torch.

Importing this package does not import MLflow (3 s): that happens when the first run is opened, so a stage that is read,
listed or tested without tracking never pays for it. A chain of stage processes pays once for all of them: the process
that starts them opens a `recording`, and each stage opens its run with that recording's spool. Outside a run
`current_run()` is a silent `NullRun`.
"""

from components.tracking.names import safe_name
from components.tracking.recorder import Recorder, recording
from components.tracking.run import NullRun, Run, current_run
from components.tracking.session import annotate, join_run, open_run

__all__ = [
    "NullRun",
    "Recorder",
    "Run",
    "annotate",
    "current_run",
    "join_run",
    "open_run",
    "recording",
    "safe_name",
]
