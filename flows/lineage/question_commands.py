"""Questions about where a model came from, what was made of it, and what differs; heavy libraries inside commands."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from flows import settings
from flows.console import JSON, here, out

questions_app = typer.Typer()

REFERENCE = typer.Argument(help="A model (`turbo`, `turbo:3`), a data set's path, a stage, a run, a record's id.")
CATALOGUES = ("artifacts/tables/catalogue.parquet", "artifacts/tables/rendered_catalogue.parquet")


@questions_app.command()
def show(
    reference: Annotated[str, REFERENCE],
    back: Annotated[bool, typer.Option("--back", help="Only what it was made from.")] = False,
    forward: Annotated[bool, typer.Option("--forward", help="Only what was made of it.")] = False,
    depth: Annotated[int | None, typer.Option(min=1, help="At most so many steps away.")] = None,
    as_json: JSON = False,
) -> None:
    """Show what something was made from, back to the sources, and what was made of it.

    Examples: `easel lineage show turbo` · `easel lineage show artifacts/latents --forward --depth 2` ·
    `easel lineage show turbo:candidate --json`
    """
    settings.go_quiet()
    from components.lineage.history import summary, tree, tree_json
    from flows.lineage.model_references import find_record, open_graph
    from flows.lineage.view import View

    _, graph = open_graph(here())
    record = find_record(here(), graph, reference).id
    back, forward = (back or not forward), (forward or not back)
    if not as_json:
        View(graph).show(record, back=back, forward=forward, depth=depth)
        return
    told: dict[str, Any] = {"reference": reference, "record": summary(graph, record)}
    if back:
        told["made_from"] = tree_json(graph, tree(graph, record, depth=depth))["branches"]
        told["sources"] = [item.model_dump(mode="json") for item in graph.sources(record)]
    if forward:
        told["made_of_it"] = tree_json(graph, tree(graph, record, forward=True, depth=depth))["branches"]
    _write_json(told)


@questions_app.command()
def diff(
    old: Annotated[str, REFERENCE],
    new: Annotated[str, typer.Argument(help="Another.")],
    ids: Annotated[int, typer.Option(min=0, help="List at most so many sample ids of each change.")] = 5,
    as_json: JSON = False,
) -> None:
    """Show what differs between two models' histories: code, parameters, environment, samples in and out, measures.

    Examples: `easel lineage diff turbo:1 turbo:2` · `easel lineage diff champion candidate --ids 1000 --json`
    """
    settings.go_quiet()
    from components.lineage.differences import differences
    from flows.lineage.model_references import find_record, open_graph
    from flows.lineage.view import View

    root = here()
    ledger, graph = open_graph(root)
    pair = [find_record(root, graph, reference).id for reference in (old, new)]
    found = differences(graph, *pair, sample_set=ledger.sample_set, describe=describer(root), max_ids=ids)
    if as_json:
        _write_json(asdict(found))
    else:
        View(graph).show_differences(found)


@questions_app.command()
def report(
    reference: Annotated[str, typer.Argument(help="As `show` takes it; left out: the newest export.")] = "",
    file: Annotated[Path, typer.Option("--out", help="The HTML file to write.")] = Path("lineage.html"),
    browse: Annotated[bool, typer.Option("--open", help="Show it.")] = False,
) -> None:
    """Write the whole lineage of a model as one page that needs no network: a graph, and an answer to each question.

    Examples: `easel lineage report` · `easel lineage report turbo:2 --out turbo-2.html --open`
    """
    settings.go_quiet()
    from flows.lineage.report import write_report

    written = write_report(here(), reference, file)
    out.print(f"wrote {written}", soft_wrap=True)
    if browse:
        typer.launch(written.absolute().as_uri())


def describer(root: Path) -> "Callable[[Sequence[str]], Mapping[str, Mapping[str, str]]] | None":
    """What the workspace's catalogues know of samples: source and licence; None where there is no catalogue."""
    files = [root / name for name in CATALOGUES if (root / name).is_file()]
    if not files:
        return None
    tables: list[Any] = []

    def describe(ids: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        import pyarrow as pa
        import pyarrow.compute
        import pyarrow.parquet

        if not tables:
            columns = ["sample_id", "source", "licence"]
            tables.extend(pyarrow.parquet.read_table(file, columns=columns) for file in files)
        wanted, compute = pa.array(ids, pa.string()), cast(Any, pyarrow.compute)  # its functions are made at import
        found = [table.filter(compute.is_in(table["sample_id"], wanted)) for table in tables]
        return {row["sample_id"]: row for table in found for row in table.to_pylist()}

    return describe


def _write_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
