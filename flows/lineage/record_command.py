"""`easel lineage record`: append what the ledger lacks of this workspace."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from flows import settings
from flows.console import JSON, here, out, remark


def record(as_json: JSON = False) -> None:
    """Append a record of every finished stage, and every decision, that the ledger lacks; harmless at any time.

    Examples: `easel lineage record` · `easel lineage record --json`
    """
    settings.go_quiet()
    from flows.lineage.decision_records import missing_decisions
    from flows.lineage.record_repair import Appended, record_missing
    from flows.pipeline import PIPELINE

    found = [*record_missing(here(), PIPELINE), *(Appended.of(one) for one in missing_decisions(here()))]
    if as_json:
        sys.stdout.write(json.dumps([asdict(one) for one in found], indent=2) + "\n")
        return
    for one in found:
        out.print(f"{one.stage}: {one.record[:16]}  ({one.source})")
    out.print(
        f"{len(found)} records appended." if found else "Nothing to record: the ledger holds every stage and decision."
    )


def record_unrecorded(root: Path) -> None:
    """Append what the ledger tells nothing of (a stage that `dvc repro` ran), one remark each; it stops nothing."""
    settings.go_quiet()
    from flows.lineage.record_repair import record_missing, unrecorded
    from flows.pipeline import PIPELINE

    try:
        for one in record_missing(root, unrecorded(root, list(PIPELINE))):
            remark(f"{one.stage}: now in the ledger, as {one.record[:16]} ({one.source})")
    except Exception as error:  # a store may fail in its own ways: a disk, a network, a server
        line = " ".join(str(error).split()) or type(error).__name__
        remark(f"not everything is recorded: {line}; `easel lineage record` tries again")
