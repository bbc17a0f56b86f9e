"""`easel lineage record`: append what the ledger lacks of this workspace."""

import json
import sys
from dataclasses import asdict

from flows import settings
from flows.console import JSON, here, out


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
