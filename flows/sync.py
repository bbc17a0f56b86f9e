"""Writes what is generated from the declarations: dvc.yaml and the marked blocks of the README.

The code dependencies of a stage are computed from the import graph: exactly the modules that its module reaches,
and the packages around them, since importing a module runs those too. So a change elsewhere leaves the stage fresh.
"""

import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import grimp
import yaml

from flows.declaration import Pipeline, Stage
from flows.parameters import PARAMS_FILE

ROOT_PACKAGES = ("components", "flows")
LOCK_FILE = "requirements.lock"
WATCHERS = frozenset(
    {"components.tracking", "components.tracking.tables", "flows.provenance", "flows.reports", "flows.settings"}
)
"""They record a stage or say where it runs, and hand nothing back that could change a number: no dependencies."""
HEADER = "# Generated from flows/pipeline.py and flows/data_pipeline.py by `easel sync`; edit those, not this one.\n"


def module_file(module: str, root: Path) -> str:
    """The source file of an importable name, relative to `root`."""
    stem = Path(*module.split("."))
    file = stem / "__init__.py" if (root / stem).is_dir() else stem.with_suffix(".py")
    return file.as_posix()


def with_packages(modules: Iterable[str]) -> set[str]:
    """`modules` and every package around them."""
    return {".".join(parts[:n]) for m in modules for parts in [m.split(".")] for n in range(1, len(parts) + 1)}


def reached_modules(module: str, graph: grimp.ImportGraph) -> set[str]:
    """`module`, all that it imports directly or not, and the packages around these."""
    reached, frontier = set[str](), {module}
    while frontier:
        reached |= frontier
        imported = set[str]().union(*(graph.find_modules_directly_imported_by(m) for m in frontier))
        frontier = with_packages(imported | frontier) - reached - WATCHERS
    return reached


def code_files(stage: Stage, graph: grimp.ImportGraph, root: Path) -> list[str]:
    """The files of this repository that the stage's module reaches, sorted."""
    return sorted(module_file(module, root) for module in reached_modules(stage.module, graph))


def dvc_entry(stage: Stage, code: list[str]) -> dict[str, Any]:
    """One stage of dvc.yaml."""
    libraries = [LOCK_FILE] if stage.needs_libraries else []
    return {
        "desc": stage.description,
        "cmd": f"python -m flows stage {stage.name}",
        "deps": [*dict.fromkeys(a.path for a in stage.inputs.values()), *code, *libraries],
        "params": [stage.name],
        "outs": [*stage.outputs.values(), stage.metrics_path],
    }


def render_dvc_yaml(pipeline: Pipeline, root: Path) -> str:
    """The whole text of dvc.yaml."""
    graph = grimp.build_graph(*ROOT_PACKAGES, cache_dir=None)
    entries = {stage.name: dvc_entry(stage, code_files(stage, graph, root)) for stage in pipeline}
    document = {"params": [PARAMS_FILE], "metrics": [stage.metrics_path for stage in pipeline], "stages": entries}
    return HEADER + yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)


def render_stage_table(pipeline: Pipeline) -> str:
    """The README's table of stages, in Markdown; stages of one function that follow each other share a row."""
    rows = ["| stage | what it does | reads | makes |", "|---|---|---|---|"]
    for _, group in groupby(pipeline, key=lambda stage: stage.function):
        stages = list(group)
        names = ", ".join(f"**{stage.name}**" for stage in stages)
        read = (artifact for stage in stages for artifact in stage.inputs.values())
        reads = ", ".join(dict.fromkeys(artifact.made_by or f"`{artifact.path}`" for artifact in read))
        makes = ", ".join(f"`{path}`" for stage in stages for path in stage.outputs.values())
        rows.append(f"| {names} | {stages[0].description} | {reads} | {makes} |")
    return "\n".join(rows)


def render_diagram(pipeline: Pipeline) -> str:
    """The pipeline as a Mermaid diagram, which the usual code hosts draw.

    Edges that others imply are left out: who reads the tables of an early stage is told by the stage table.
    """
    lines = list[list[str]]()  # each a chain of stages (or of several that lead to one)
    for stage in pipeline:
        sources = nearest(pipeline, stage)
        if lines and list(sources) == lines[-1][-1:]:
            lines[-1].append(stage.name)
        else:
            lines.append([" & ".join(sources or ("data",)), stage.name])
    return "\n".join(["```mermaid", "graph LR", *(f"    {' --> '.join(line)}" for line in lines), "```"])


def nearest(pipeline: Pipeline, stage: Stage) -> tuple[str, ...]:
    """The stages that `stage` reads and no other one that it reads stands on."""
    implied = frozenset[str]().union(*(pipeline.ancestors(name) for name in stage.upstream))
    return tuple(name for name in stage.upstream if name not in implied)


def render_readme(text: str, blocks: dict[str, str]) -> str:
    """`text` with the content between `<!-- begin NAME -->` and `<!-- end NAME -->` replaced."""
    for name, block in blocks.items():
        pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        text = pattern.sub(lambda found, body=block: f"{found[1]}{body}\n{found[2]}", text)
    return text


def render_all(pipeline: Pipeline, root: Path) -> dict[Path, str]:
    """Every generated file and the text that it should hold."""
    readme = root / "README.md"
    blocks = {"stages": render_stage_table(pipeline), "diagram": render_diagram(pipeline)}
    return {
        root / "dvc.yaml": render_dvc_yaml(pipeline, root),
        readme: render_readme(readme.read_text(encoding="utf-8"), blocks),
    }


def stale_files(pipeline: Pipeline, root: Path) -> list[Path]:
    """The generated files that do not hold what the declarations say."""
    wanted = render_all(pipeline, root)
    return [file for file, text in wanted.items() if not file.exists() or file.read_text(encoding="utf-8") != text]


def write_files(pipeline: Pipeline, root: Path) -> list[Path]:
    """Bring the generated files up to date; returns those that changed."""
    changed = stale_files(pipeline, root)
    wanted = render_all(pipeline, root) if changed else {}
    for file in changed:
        file.write_text(wanted[file], encoding="utf-8")
    return changed
