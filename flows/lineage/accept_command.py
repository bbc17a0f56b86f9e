"""`easel accept`: take a stage as made by code that changed without altering its result."""

import json
import sys
from typing import Annotated

import typer

from flows import settings
from flows.console import JSON, here, out, printable, remark


def accept(
    stage: Annotated[str, typer.Argument(help="A stage that is stale because of its code.")],
    reason: Annotated[str, typer.Option("--reason", help="Why the result is the same; kept in the ledger.")],
    by: Annotated[str, typer.Option("--by", help="Who says so; default: your login.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask after showing the change.")] = False,
    as_json: JSON = False,
) -> None:
    """Do not run a stage again although its code changed: shows the change, and keeps who accepted it and why.

    Refuses where anything else changed: inputs, parameters, libraries, outputs.

    Examples: `easel accept pretrain_1 --reason "only a comment"` ·
    `easel accept sft --reason "renamed a variable" --by ann --yes`
    """
    settings.go_quiet()
    from flows.lineage.acceptance import accept as take
    from flows.lineage.acceptance import code_change
    from flows.pipeline import PIPELINE

    root, declared = here(), PIPELINE[stage]
    change = code_change(root, declared)
    if not as_json:
        diff = change.diff or "the changed files are not in git, so there is no diff to show"
        out.print("\n".join(printable(line.expandtabs()) for line in diff.split("\n")), soft_wrap=True)
        since = f"since {change.commit[:12]}" if change.commit else "since the last commit; what it was is not recorded"
        remark(f"{stage}: {', '.join(change.files)} changed {since}")
    if not yes:
        typer.confirm(f"Does {stage} give the same result with this code?", abort=True, err=True)
    record = take(root, declared, change, reason=reason, by=by)
    if as_json:
        sys.stdout.write(json.dumps({"record": record.id, **record.decision}, indent=2) + "\n")
        return
    out.print(f"{stage} is fresh again; record {record.id[:16]}")
