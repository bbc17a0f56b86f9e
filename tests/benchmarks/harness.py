"""What every benchmark shares: work in a process of its own, timed, with its peak memory; figures; the machine."""

import json
import multiprocessing
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One line of the table; `goal` is what the project promised, "" where it promised nothing."""

    what: str
    value: float
    unit: str
    goal: str = ""
    is_met: bool | None = None


def at_most(what: str, value: float, unit: str, goal: float) -> Figure:
    return Figure(what, value, unit, f"at most {goal:g}", value <= goal)


def at_least(what: str, value: float, unit: str, goal: float) -> Figure:
    return Figure(what, value, unit, f"at least {goal:g}", value >= goal)


@dataclass(frozen=True)
class Measured:
    """What the child gave back, how long its function ran, its processor time, and the most memory that it held."""

    value: Any
    seconds: float
    cpu_seconds: float
    peak_mb: float


def in_child(function: Callable[..., Any], *arguments: Any) -> Measured:
    """`function` (of a module) in a fresh process, so that nothing else is in its memory."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_call, args=(theirs, function, arguments))
    child.start()
    theirs.close()
    try:
        measured = ours.recv()
    except EOFError:
        raise RuntimeError(f"{function.__name__} failed; its error stands above") from None
    child.join()
    return measured


def peak_mb() -> float:
    """The most memory this process has held. Not `ru_maxrss`: that of a child begins with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024


def machine() -> dict[str, Any]:
    """The hardware, and how busy it was: the load of the last minute, with our own work in it."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return {
        "cpu": model.group(1) if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 1),
    }


def write_results(name: str, figures: list[Figure], note: str) -> None:
    """The figures with the machine, as JSON and as the table that is printed."""
    RESULTS.mkdir(exist_ok=True)
    facts = machine()
    told = {"note": note, "at": time.strftime("%Y-%m-%d", time.gmtime()), "machine": facts}
    text = json.dumps({**told, "figures": [asdict(figure) for figure in figures]}, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    head = f"{name}: {facts['cpu']}, {facts['cores']} cores, load {facts['load_1min']}. {note}".rstrip()
    sys.stdout.write(f"\n{head}\n{table(figures)}\n")
    sys.stdout.flush()


def table(figures: list[Figure]) -> str:
    """A Markdown table."""
    verdicts = {None: "", True: "met", False: "NOT MET"}
    rows = [("what", "value", "unit", "goal", "")]
    rows += [
        (f.what, f"{f.value:,.3g}" if f.value < 1e3 else f"{f.value:,.0f}", f.unit, f.goal, verdicts[f.is_met])
        for f in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _call(pipe: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    started, cpu_started = time.perf_counter(), time.process_time()
    value = function(*arguments)
    pipe.send(Measured(value, time.perf_counter() - started, time.process_time() - cpu_started, peak_mb()))
    pipe.close()
