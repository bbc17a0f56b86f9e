"""Commands about the ledger's log: its signed head, whether it holds, and proofs to hand out."""

import json
import sys
from typing import Annotated

import typer

from flows.console import JSON, fail, here, out

lineage_app = typer.Typer(help="Where models and data came from, and what was made of them.", no_args_is_help=True)


@lineage_app.command()
def head(as_json: JSON = False) -> None:
    """Show the newest signed head of the ledger.

    Examples: `easel lineage head` · `easel lineage head --json`
    """
    from flows.ledger import open_ledger

    found = open_ledger(here()).head()
    if found is None:
        fail("the ledger is empty; run a stage first")
    if as_json:
        sys.stdout.write(json.dumps(found.model_dump(mode="json"), indent=2) + "\n")
        return
    out.print(f"{found.size} entries, root {found.root}\nsigned {found.signed_at} with key {found.key_id}")


@lineage_app.command()
def proof(record: Annotated[str, typer.Argument(help="A record's id, or its first digits.")]) -> None:
    """Print a proof that a record stands in the log.

    Example: `easel lineage proof 3fa81c`
    """
    from flows.ledger import open_ledger

    ledger = open_ledger(here())
    found = ledger.inclusion(ledger.find(record).id)
    sys.stdout.write(json.dumps(found.model_dump(mode="json"), indent=2) + "\n")
