"""The display follows a build's events, whoever wrote them."""

import io
import json

import pytest
from rich.console import Console

from flows.display import Display, clock


def follow(tmp_path, events):
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    with Display(["a", "b"], tmp_path, console) as display, (tmp_path / "events.jsonl").open("a") as stream:
        for event in events:
            stream.write(json.dumps(event) + "\n")
        stream.write('{"stage": "b", "sta')  # a line that is still being written
    return display, console.file.getvalue()


def test_plain_lines_for_every_event(tmp_path):
    events = [
        {"stage": "a", "state": "running", "note": ""},
        {"stage": "a", "state": "done", "note": "rows 3"},
        {"stage": "b", "state": "running", "note": ""},
        {"stage": "b", "state": "failed", "note": "data/x: bad [line] 3"},
    ]
    display, text = follow(tmp_path, events)
    lines = text.splitlines()
    assert lines[0] == "[1/2] a: running"
    assert lines[1].startswith("[1/2] a: done in ")
    assert lines[1].endswith("(rows 3)")
    assert lines[3].endswith("(data/x: bad [line] 3)")
    assert display.states == {"a": "done", "b": "failed"}


def test_a_remark_is_a_line_and_a_stop_is_no_failure(tmp_path):
    events = [
        {"stage": "a", "state": "running", "note": ""},
        {"stage": "a", "remark": "goes on from [checkpoint] 8"},
        {"stage": "a", "state": "stopped", "note": "run again to continue"},
    ]
    display, text = follow(tmp_path, events)
    assert text.splitlines()[1] == "    a: goes on from [checkpoint] 8"
    assert display.states["a"] == "stopped"
    assert display.table().row_count == 2


def test_progress_shows_figures_and_time_left(tmp_path):
    events = [{"stage": "a", "state": "running", "note": ""}]
    events += [{"stage": "a", "done": n, "total": 100, "loss": 0.5} for n in (10, 20)]
    display, _ = follow(tmp_path, events)
    described = display.describe("a")
    assert described.startswith("20/100  loss 0.5")
    assert described.endswith("left")
    assert display.table().row_count == 2


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (75, "1:15"), (3600, "60:00")])
def test_clock(seconds, text):
    assert clock(seconds) == text
