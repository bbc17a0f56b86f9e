"""`easel lineage record`: append what the ledger lacks of this workspace."""

import json
import sys
from dataclasses import asdict

from flows import settings
from flows.console import JSON, here, out


def record(as_json: JSON = False) -> None:
    """Append a record of every finished stage that the ledger does not hold yet; harmless at any time.

    Examples: `easel lineage record` · `easel lineage record --json`
    """
    settings.go_quiet()
    from flows.pipeline import PIPELINE
    from flows.record_repair import record_missing

    found = list(record_missing(here(), PIPELINE))
    if as_json:
        sys.stdout.write(json.dumps([asdict(one) for one in found], indent=2) + "\n")
        return
    for one in found:
        how = "observed: nobody's report of its run is left" if one.is_observed else "from the report of its run"
        out.print(f"{one.stage}: {one.record[:16]}  ({how})")
    out.print(f"{len(found)} records appended." if found else "Nothing to record: the ledger holds every stage.")
