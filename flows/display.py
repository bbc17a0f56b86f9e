"""What a person sees of a build: stages done, running and cached, with step, loss and time left; plain lines elsewhere.

It follows the build's `events.jsonl`, to which executors and stage processes append, so it knows no executor.
"""

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

MARKS = {
    "waiting": "[dim]·",
    "running": "[bold cyan]▶",
    "done": "[green]✓",
    "cached": "[blue]=",
    "failed": "[bold red]✗",
    "stopped": "[yellow]■",
}


def clock(seconds: float) -> str:
    """`75` as `1:15`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Display:
    """A table that is redrawn on a terminal, and one line for each event elsewhere.

    Args:
        stages: all stages of this run, in order.
        run_dir: the build's folder, whose events it follows (`events.jsonl`).
    """

    def __init__(self, stages: Sequence[str], run_dir: Path, console: Console | None = None) -> None:
        self.console = console or Console(stderr=False, highlight=False)
        self.states = dict.fromkeys(stages, "waiting")
        self.seconds = dict[str, float]()
        self.notes = dict[str, str]()
        self.events_file = run_dir / "events.jsonl"
        self.is_live = self.console.is_terminal
        self._started = dict[str, float]()
        self._offset = 0
        self._progress = dict[str, dict[str, Any]]()
        self._first = dict[str, tuple[float, int]]()
        self._last_line = 0.0
        self._ended = threading.Event()
        self._live = Live(console=self.console, auto_refresh=False, transient=False) if self.is_live else None

    def __enter__(self) -> "Display":
        if self._live:
            self._live.start()
        self._thread = threading.Thread(target=self._refresh, daemon=True, name="display")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        self._follow()
        if self._live:
            self._live.update(self.table(), refresh=True)
            self._live.stop()

    def _follow(self) -> None:
        """Take in what was appended to the build's events since the last look."""
        if not self.events_file.exists():
            return
        with self.events_file.open(encoding="utf-8") as stream:
            stream.seek(self._offset)
            for line in iter(stream.readline, ""):
                if not line.endswith("\n"):
                    break  # still being written
                self._offset = stream.tell()
                event = json.loads(line)
                if "state" in event:
                    self._set_state(**event)
                elif "remark" in event:
                    self.console.print(f"    {event['stage']}: {event['remark']}", markup=False, soft_wrap=True)
                else:
                    self._set_progress(event)

    def _set_progress(self, report: dict[str, Any]) -> None:
        stage = report.pop("stage")
        before = self._progress.get(stage)
        if before is None or report["done"] < before["done"] or report["total"] != before["total"]:
            self._first[stage] = (time.monotonic(), report["done"])  # the time left is judged from here on
        self._progress[stage] = report

    def _set_state(self, stage: str, state: str, note: str = "") -> None:
        now = time.monotonic()
        if state == "running":
            self._started[stage] = now
        elif stage in self._started:
            self.seconds[stage] = now - self._started[stage]
        self.states[stage], self.notes[stage] = state, note
        if not self.is_live:
            place = f"[{list(self.states).index(stage) + 1}/{len(self.states)}]"
            took = f" in {self.seconds[stage]:.1f} s" if stage in self.seconds and state != "running" else ""
            self.console.print(f"{place} {stage}: {state}{took}{f'  ({note})' if note else ''}", markup=False)

    def table(self) -> Table:
        """The run as it stands, one row a stage."""
        grid = Table.grid(padding=(0, 2))
        for stage, state in self.states.items():
            seconds = self.seconds.get(stage)
            if state == "running":
                seconds = time.monotonic() - self._started[stage]
            note = self.describe(stage) if state == "running" else self.notes.get(stage, "")
            grid.add_row(f"{MARKS[state]}", stage, "" if seconds is None else clock(seconds), f"[dim]{note}")
        return grid

    def describe(self, stage: str) -> str:
        """Progress of a running stage: how far, its figures, the time left."""
        report = self._progress.get(stage)
        if not report:
            return "starting"
        done, total = report["done"], report["total"]
        parts = [f"{done:,}/{total:,}"]
        parts += [f"{key} {value:.4g}" for key, value in report.items() if isinstance(value, float)]
        since, first = self._first[stage]
        if first < done < total:
            parts.append(f"{clock((time.monotonic() - since) * (total - done) / (done - first))} left")
        return "  ".join(parts)

    def _refresh(self) -> None:
        while not self._ended.wait(0.5):
            self._follow()
            if self._live:
                self._live.update(self.table(), refresh=True)
            elif time.monotonic() - self._last_line > 30:
                running = [s for s, state in self.states.items() if state == "running" and s in self._progress]
                for stage in running:
                    self.console.print(f"    {stage}: {self.describe(stage)}", markup=False)
                self._last_line = time.monotonic()
