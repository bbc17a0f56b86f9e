"""Commands below `easel data`. Heavy libraries are imported inside the commands, so that `--help` answers at once."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.console import JSON, fail, here, out
from flows.settings import load_profile
from flows.start import Executor, recipe_file, start_build, use_recipe

if TYPE_CHECKING:
    from components.data.landing import Landing
    from components.data.readers import Kind

data_app = typer.Typer(help="The data set: build it, look into it, check it.", no_args_is_help=True)


@data_app.command("pull")
def data_pull() -> None:
    """Bring data/ from the DVC remote inside this repository; needs no network.

    Example: `easel data pull`
    """
    from flows.freshness import pull

    pull(here())
    out.print("data/ is in place")


@data_app.command("bake")
def data_bake(
    target: Annotated[Path, typer.Argument(help="Folder to write (data/ to replace the pinned set).")],
    work: Annotated[Path, typer.Option(help="Folder for downloaded packages.")] = Path(".easel/packages"),
) -> None:
    """Rebuild the embedded data set from its packages, through npm and apt-get.

    Example: `easel data bake rebuilt`
    """
    from components.data.sources.bake import bake

    manifest = bake(target, work)
    sys.stdout.write(json.dumps(manifest, indent=2) + "\n")


@data_app.command("verify")
def data_verify() -> None:
    """Compare the shards in data/ with the SHA-256 sums in their manifest.

    Example: `easel data verify`
    """
    from components.data.sources.bake import verify_manifest

    differing = verify_manifest(here() / "data")
    if differing:
        fail(f"data/: {', '.join(differing)} are not the pinned bytes; run `easel data pull`")
    out.print("data/ holds the pinned bytes")


@data_app.command("autoencoder")
def data_autoencoder(target: Annotated[Path, typer.Argument(help="A new folder for the model.")]) -> None:
    """Train the autoencoder again with infra/autoencoder.yaml (most of an hour on 2 cores).

    Example: `easel data autoencoder trained`
    """
    from flows.autoencoder import train_pinned

    record = train_pinned(here(), target)
    sys.stdout.write(json.dumps(record["heldout_psnr_db"]) + "\n")


Name = Annotated[str, typer.Option(help="The pool: a folder below data/.")]
KindOfSource = Annotated[
    Literal["folder", "webdataset", "parquet", "urls"] | None, typer.Option(help="Told by the names if left out.")
]
Anew = Annotated[bool, typer.Option("--force", help="Empty the pool first and land everything anew.")]
Rate = Annotated[float, typer.Option(min=0.01, help="How often a second one host of the web is asked.")]
Private = Annotated[list[str], typer.Option(help="A host of your own network that addresses may name.")]


@data_app.command("land")
def data_land(
    source: Annotated[str, typer.Argument(help="A folder, a file, or s3://BUCKET/PREFIX.")],
    name: Name,
    kind: KindOfSource = None,
    force: Anew = False,
    requests_per_s: Rate = 10.0,
    allow_private_host: Private = [],  # noqa: B006 - typer reads it, nobody changes it
) -> None:
    """Bring what is new in a source into data/NAME and pin it: images with .txt or .json, tars, Parquet, addresses.

    Examples: `easel data land ~/photos --name photos` · `easel data land s3://bucket/shards --name web` ·
    `easel data land list.csv --name web`
    """
    from rich.markup import escape

    from flows.landing import summary

    landing = _landed(source, name, kind, allow_private_host, force=force, requests_per_s=requests_per_s)
    out.print(escape("\n".join(summary(landing, name))), soft_wrap=True)
    out.print("data.dvc pins it: commit that file to keep this version")
    out.print(f"Name it in params.yaml to use it: ingest.pools: [images, {name}]", markup=False)


@data_app.command("build")
def data_build(
    source: Annotated[str, typer.Option(help="A folder, a file, or s3://BUCKET/PREFIX.")],
    name: Name = "photos",
    recipe: Annotated[str, typer.Option(help="A file in infra/recipes/ that says how.")] = "photos",
    kind: KindOfSource = None,
    force: Anew = False,
    requests_per_s: Rate = 10.0,
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
    landing = _landed(source, name, kind, [], force=force, requests_per_s=requests_per_s)
    out.print(escape("\n".join(summary(landing, name))), soft_wrap=True)
    use_recipe(root, recipe, name)
    check_file(PIPELINE, root / PARAMS_FILE)
    chosen, stale = data_stages(), verdicts(PIPELINE, root)
    if any(stale[stage].is_stale for stage in chosen):
        start_build(root, chosen, place.name, executor, force=False)
    for label, number in funnel(root):
        out.print(f"{number:>12,}  {label}")
    out.print(f"Report     {PIPELINE['data_report'].outputs['report']}/index.html")
    out.print("Keep       git commit data.dvc params.yaml dvc.lock")


@data_app.command("accept")
def data_accept() -> None:
    """Make the present tables the version that later ones may not drift from; commit the file that this writes.

    `check_tables` and `check_selection` compare with it, within the limits of params.yaml.

    Example: `easel data accept`
    """
    from components.quality.measures import summaries
    from components.quality.receipt import write_reference
    from flows.data_pipeline import REFERENCE
    from flows.declaration import MADE_DIR

    root = here()
    write_reference(root / REFERENCE.path, summaries(root / MADE_DIR / "tables"))
    out.print(f"{REFERENCE.path} holds the present version; commit it")


@data_app.command("export")
def data_export(
    output: Annotated[Path, typer.Option(help="A folder that is not there yet, or empty.")],
    layout: Annotated[Literal["webdataset", "parquet"], typer.Option("--format", help="The layout.")] = "parquet",
    selection: Annotated[
        Literal["train", "all"], typer.Option(help="The training images, or all that were kept.")
    ] = "train",
    caption_kind: Annotated[str, typer.Option(help="Which caption is the text of a sample.")] = "short",
    language: Annotated[str, typer.Option(help="In which language, where there is one.")] = "en",
    shard_size: Annotated[int, typer.Option(min=1, help="Samples in one file.")] = 1000,
    name: Annotated[str, typer.Option(help="What the data set is called.")] = "easel",
    version: Annotated[str, typer.Option(help="MAJOR.MINOR.PATCH.")] = "1.0.0",
) -> None:
    """Write the data set for other trainers: tar shards or Parquet, with card, attributions and a Croissant file.

    Example: `easel data export --format webdataset --output ~/easel-shards`
    """
    from datetime import UTC, datetime

    from components.data.exports.export import Request, write_export
    from components.data.exports.samples import MainCaption
    from flows.data_pipeline import IMAGES
    from flows.declaration import MADE_DIR

    root = here()
    request = Request(
        layout=layout,
        choice=selection,
        main=MainCaption(caption_kind, language),
        shard_rows=shard_size,
        name=name,
        version=version,
        published=datetime.now(UTC).date().isoformat(),
    )
    written = write_export(root / MADE_DIR / "tables", root / IMAGES.path, output, request)
    out.print(f"{written.num_samples:,} samples in {written.num_files} files, {written.num_bytes:,} bytes: {output}")


def _landed(
    source: str, name: str, kind: "Kind | None", private: list[str], *, force: bool, requests_per_s: float
) -> "Landing":
    """Land with a line that counts while it goes."""
    from components.data.readers.interface import ReadLimits
    from flows.landing import land_and_pin

    limits = ReadLimits(host_requests_per_s=requests_per_s)
    with out.status(f"landing {source}") as line:

        def show(landing: "Landing") -> None:
            line.update(f"landing: {landing.num_landed:,} images of {landing.num_listed:,} items")

        return land_and_pin(
            here(), source, name, kind, force=force, allowed_private_hosts=private, limits=limits, progress=show
        )


Executed = Annotated[Executor, typer.Option(help="`prefect` or `local`: what runs a stale stage.")]


@data_app.command("report")
def data_report(
    compare: Annotated[str, typer.Option(help="A git revision, folder or summary.json to compare with.")] = "",
    browse: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    executor: Executed = Executor.local,
    profile: Annotated[str, typer.Option(help="Where to run: a file in infra/profiles/.")] = "",
) -> None:
    """Make the page that tells what the data set holds and what was left out, if it is stale, and say where it lies.

    Beside the version before (the newest committed dvc.lock with another selection), or the one that `--compare` names,
    every figure stands with its change. Examples: `easel data report` · `easel data report --compare HEAD~1 --open`
    """
    from flows.data_report import compared_page, fresh_page
    from flows.data_versions import previous_revision

    root = here()
    place = load_profile(root, profile or None)
    page = fresh_page(root, place.name, executor)
    out.print(f"Report     {page.relative_to(root)}", soft_wrap=True)
    if since := compare or previous_revision(root) or "":
        page = compared_page(root, since)
        out.print(f"Compared   {page.relative_to(root)} (since {since})", markup=False, soft_wrap=True)
    if browse:
        typer.launch(page.as_uri())


@data_app.command("diff")
def data_diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A git revision, folder or summary.json.")] = "HEAD",
    after: Annotated[
        str, typer.Argument(metavar="B", help="Another one; `workspace` is what lies here.")
    ] = "workspace",
    as_json: JSON = False,
) -> None:
    """Tell what changed between two versions: images in and out, and every count by group and reason.

    Examples: `easel data diff` · `easel data diff HEAD~3 HEAD` · `easel data diff /mnt/old/artifacts workspace --json`
    """
    from components.data.report.diff import difference
    from flows import data_views
    from flows.data_versions import find_version

    root = here()
    found = difference(find_version(root, before), find_version(root, after))
    if as_json:
        data_views.as_json(data_views.difference_json(found))
    else:
        data_views.show_difference(found)


@data_app.command("show")
def data_show(
    sample: Annotated[str, typer.Argument(help="An id, at least its first 6 digits, or an image file.")],
    save: Annotated[Path | None, typer.Option(help="Write the image here, as it was received.")] = None,
    as_json: JSON = False,
) -> None:
    """Tell everything that is known of one image: origin, verdict, category, captions, scores, split.

    Examples: `easel data show d139f1` · `easel data show apple.png --json` · `easel data show d139f1 --save it.webp`
    """
    from flows import data_views
    from flows.data_report import image_bytes, known_of

    root = here()
    known = known_of(root, sample)
    if save:
        save.write_bytes(image_bytes(root, known["sample_id"]))
    if as_json:
        data_views.as_json(known)
    else:
        data_views.show_sample(known)
    if save and not as_json:
        out.print(f"wrote {save}", markup=False, soft_wrap=True)


@data_app.command("opt-out")
def data_opt_out(
    target: Annotated[Path, typer.Argument(help="The list to write.")],
    salt: Annotated[str, typer.Option(help="One word that nobody guesses.")],
    image: Annotated[list[Path], typer.Option(help="An image, or a folder of them.")] = [],  # noqa: B006 - typer reads it
    address: Annotated[list[str], typer.Option(help="An address that images were taken from.")] = [],  # noqa: B006
) -> None:
    """Write the list of what must not be used, as salted digests, and print the line of params.yaml that names it.

    Example: `easel data opt-out opt-out.txt --salt SECRET --image withdrawn/ --address https://example.org/a.jpg`
    """
    from flows.data_unwanted import files_of, pinned_line, write_opt_out

    try:
        count = write_opt_out(target, salt, files_of(image), address)
    except ValueError as error:
        fail(str(error))
    out.print(f"{count:,} opted out; in params.yaml, below filter_images:", markup=False)
    out.print(pinned_line("opt_out", target), markup=False, soft_wrap=True)


@data_app.command("fingerprint")
def data_fingerprint(
    source: Annotated[list[Path], typer.Argument(help="Images of an evaluation set, or folders of them.")],
    target: Annotated[Path, typer.Option(help="The Parquet file to write; it holds no image.")],
) -> None:
    """Write the fingerprints of an evaluation set, so that `filter_images` keeps it out of training.

    Example: `easel data fingerprint benchmark/images --target benchmark.parquet`
    """
    from flows.data_unwanted import files_of, pinned_line, write_fingerprints

    try:
        count, undecoded = write_fingerprints(target, files_of(source), here())
    except ValueError as error:
        fail(str(error))
    out.print(f"{count:,} fingerprints, {undecoded:,} of them by bytes alone; below filter_images:", markup=False)
    out.print(pinned_line("evaluation", target), markup=False, soft_wrap=True)
