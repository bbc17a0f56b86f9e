"""`easel annotate`, `agreement` and `votes`: vote on images in a browser, see who agrees, and use what came of it."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from flows import settings
from flows.annotate import QUESTION, compared, open_session, outcome, read_categories, serve, write_votes
from flows.console import JSON, here, out, printable, remark


def annotate(
    images: Annotated[Path, typer.Argument(help="A folder of PNG, JPEG or WebP images.")],
    annotator: Annotated[str, typer.Option(help="Who votes: one person plays a tournament alone.")],
    name: Annotated[str, typer.Option(help="Of the tournament; default: the folder's name.")] = "",
    prompt: Annotated[str, typer.Option(help="Shown above; what the images were drawn for, for DPO.")] = QUESTION,
    among: Annotated[str, typer.Option(help="All who share the work, `p7,p8,p9`: each gets a part, and 5 % all.")] = "",
    calibration: Annotated[
        int, typer.Option(min=0, help="Pairs of known order to pass first; 0: none, and the votes do not count.")
    ] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pairs.")] = 0,
    host: Annotated[str, typer.Option(help="An IPv4 address; any but this machine's own wants a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    results: Annotated[bool, typer.Option("--results", help="Only say what came of it.")] = False,
    as_json: JSON = False,
) -> None:
    """Vote on pairs of a folder's images, for tiers 1 to 10 and for pairs for DPO.

    n images take (log2 n + 2) n / 2 votes (112 for 32, 256 for 64, 576 for 128, 1280 for 256), and 5 % of them twice.
    Keys: left, right, space for a tie, Z to undo. Every vote is on the disk at once: end it at any time (Ctrl-C), and
    the same command goes on. Votes lie in `tournaments/NAME/ANNOTATOR/votes.jsonl` of the workspace's state.

    Examples: `easel annotate photos --annotator p7` · `easel annotate foxes --annotator p7 --prompt "a red fox"` ·
    `easel annotate photos --annotator p7 --among p7,p8,p9` · `easel annotate photos --annotator p7 --results --json`
    """
    settings.go_quiet()
    everybody = [who.strip() for who in among.split(",")] if among else []
    session, pictures, folder = open_session(
        images, annotator, name=name, prompt=prompt, num_calibration=calibration, seed=seed, among=everybody
    )
    try:
        if not results:
            with serve(session, pictures, host, port) as server:
                out.print(f"vote at {escape(server.url)}  (Ctrl-C ends it)", soft_wrap=True)
                with suppress(KeyboardInterrupt):
                    server.serve_forever()
        found = outcome(session)
    finally:
        session.close()
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        _show(found, folder)


def candidates(
    prompt: Annotated[str, typer.Argument(help="As it was drawn for; left out: the prompts that there are.")] = "",
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder.")] = Path("candidates"),
    as_json: JSON = False,
) -> None:
    """Write what the chain drew for a prompt as files, so that people can vote on them for DPO.

    Vote with `easel annotate FOLDER --prompt PROMPT`, gather with `easel votes`, and name the file in
    `preferences: {votes: ...}`: people's choices then stand above what models chose.

    Examples: `easel candidates` · `easel candidates "a red apple, Noto style" -o apples`
    """
    from flows.candidates import prompts, write_candidates

    if prompt:
        number = write_candidates(here(), prompt, output)
        found: dict[str, Any] = {"prompt": prompt, "folder": str(output), "images": number}
        line = escape(f"wrote {number} images; `easel annotate {output} --annotator WHO --prompt {prompt!r}`")
    else:
        found = prompts(here())
        line = "\n".join(f"{number} {printable(one)}" for one, number in found.items())
    if as_json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    else:
        out.print(line, soft_wrap=True)


def votes(
    name: Annotated[str, typer.Argument(help="A tournament.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="To write: below data/, for a stage to read.")],
    images: Annotated[
        Path | None, typer.Option(help="The folder that was voted on: writes a folder for Aes, with its images.")
    ] = None,
    as_json: JSON = False,
) -> None:
    """Gather the votes that count of a tournament's annotators, in a file for DPO pairs or a folder of tiers for Aes.

    Whoever was not tested, prefers one side, or contradicts herself when pairs come again is left out, and named.

    A stage reads them once its parameters name them, as `preferences: {votes: foxes.jsonl}`.

    Examples: `easel votes foxes -o data/foxes.jsonl` · `easel votes photos -o data/photos_voted --images photos --json`
    """
    settings.go_quiet()
    found = write_votes(name, output, images)
    if as_json:
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
        return
    out.print(escape(f"wrote {found['votes']} votes of {', '.join(found['annotators'])} to {output}"), soft_wrap=True)
    _remark_left_out(found["left_out"])


def agreement(
    name: Annotated[str, typer.Argument(help="A tournament that two or more people have played.")],
    categories: Annotated[
        Path | None, typer.Option(help="A CSV file with the columns image (SHA-256) and category, for biases.")
    ] = None,
    as_json: JSON = False,
) -> None:
    """Say how far the annotators of a tournament agree, and who favours which category.

    Examples: `easel agreement photos` · `easel agreement photos --categories categories.csv --json`
    """
    settings.go_quiet()
    found = compared(name, read_categories(categories) if categories else {})
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    told = f"{len(found['annotators'])} annotators ({', '.join(found['annotators'])}), {found['num_images']} images"
    out.print(escape(f"{told}, {found['num_shared']} of them seen by two or more"), soft_wrap=True)
    _remark_left_out(found["left_out"])
    w, alpha = found["kendalls_w"], found["krippendorffs_alpha"]
    out.print(f"Kendall's W of places {w:.3f}, Krippendorff's alpha of tiers (ordinal) {alpha:.3f}")
    if found["biases"]:
        table = Table("annotator", "category", "images", "tiers above others", "95 %", box=None, pad_edge=False)
        for bias in found["biases"]:
            interval = f"{bias['low']:+.2f} to {bias['high']:+.2f}"
            row = (bias["annotator"], bias["category"], str(bias["num_images"]), f"{bias['bias']:+.2f}", interval)
            table.add_row(*(printable(cell) for cell in row))
        out.print(table)


def _remark_left_out(left_out: dict[str, list[str]]) -> None:
    for who, reasons in left_out.items():
        remark(f"left out: {who}: {'; '.join(reasons)}")


def _show(found: dict[str, Any], folder: Path) -> None:
    """The tally in a line, and a row for each image once all are ranked."""
    seen = found["reliability"]
    again = seen["consistency"]
    repeats = "" if again is None else f"; the same again in {again:.0%} of {seen['num_repeats']} repeats"
    tally = f"{found['phase']}: {found['votes']} of {found['of']} votes in {folder}{repeats}"
    out.print(escape(tally), soft_wrap=True)
    if found["votes"] and found["does_not_count"]:
        remark(f"these votes do not count: {'; '.join(found['does_not_count'])}")
    if found["ranking"]:
        table = Table("tier", "score", "place", "wins", "image", box=None, pad_edge=False)
        for row in found["ranking"]:
            table.add_row(
                str(row["tier"]), f"{row['score']:.0f}", f"{row['place']:.3f}", f"{row['wins']:g}", row["image"][:16]
            )
        out.print(table)
