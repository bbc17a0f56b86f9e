"""`make bench`: every benchmark in turn, or those named; one table each, kept with the machine under results/.

Nothing is asserted about time: goals are printed beside the figures, and ratios compare runs of one session.
"""

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path

from harness import write_results

BENCHMARKS = (
    "near_duplicates",
    "sampling",
    "ingest_memory",
    "ingest_speed",
    "ray_engine",
    "plan_memory",
    "loader",
    "step_time",
    "checkpoint_time",
    "aes",
    "model_signature",
    "ledger",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="which; all of them if none is named")
    parser.add_argument("--note", default="", help="kept with the results, such as that the machine was shared")
    given = parser.parse_args()
    os.environ.update({"DAFT_PROGRESS_BAR": "0", "DAFT_ANALYTICS_ENABLED": "0"})
    for name in given.names or BENCHMARKS:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark is called {name!r}; there are: {', '.join(BENCHMARKS)}")
        with tempfile.TemporaryDirectory(prefix="easel-bench-") as folder:
            figures = importlib.import_module(name).measure(Path(folder))
        write_results(name, figures, given.note)


if __name__ == "__main__":
    sys.exit(main())
