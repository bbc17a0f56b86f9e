"""Commands about the key that signs the ledger."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.console import JSON, fail, here, out, remark
from flows.lineage.settings import ledger_key

keys_app = typer.Typer(help="The key that signs the ledger.", no_args_is_help=True)


@keys_app.command()
def init(
    file: Annotated[
        Path | None, typer.Option(help="Where to put it, outside of any repository; default: your settings folder.")
    ] = None,
    as_json: JSON = False,
) -> None:
    """Make a new key that signs the ledger from now on; an existing file is never replaced.

    Examples: `easel keys init` · `easel keys init --file ~/safe/ledger-key.pem`
    """
    from components.lineage.keys import make_key

    place = file or ledger_key().file
    if place is None:
        fail("EASEL_LEDGER_KEY or EASEL_LEDGER_SIGNER names a key that is no file; unset it, or give --file")
    made = make_key(place)
    if as_json:
        sys.stdout.write(json.dumps({"file": str(place), "key_id": made.key_id}, indent=2) + "\n")
        return
    out.print(f"made {place}\nkey id {made.key_id}", soft_wrap=True)
    remark("keep a copy of the file elsewhere, and give the key id to those who check your ledger")
    if file:
        remark(f"set EASEL_LEDGER_KEY={file.absolute()} so that it is used")


@keys_app.command()
def show(as_json: JSON = False) -> None:
    """Show which key signs this workspace's ledger: its id, and its public half in PEM.

    Examples: `easel keys show` · `easel keys show --json`
    """
    from flows.lineage.ledger import signer

    found = signer(here())
    public = found.public_pem.decode()
    if as_json:
        sys.stdout.write(json.dumps({"key_id": found.key_id, "public_key": public}, indent=2) + "\n")
        return
    out.print(f"key id {found.key_id}\n{public}", end="", soft_wrap=True)
