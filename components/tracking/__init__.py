"""Open a run, log to it in batches, close it with the right status. MLflow is the store; nothing here imports torch.

Importing this package does not import MLflow (3 s): that happens when the first run is opened, so a stage that is read,
listed or tested without tracking never pays for it. Outside a run `current_run()` is a silent `NullRun`.
"""

from components.tracking.names import safe_name
from components.tracking.run import NullRun, Run, current_run
from components.tracking.session import close_parent, open_parent, open_run

__all__ = ["NullRun", "Run", "close_parent", "current_run", "open_parent", "open_run", "safe_name"]
