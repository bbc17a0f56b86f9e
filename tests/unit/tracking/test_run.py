import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.tracking import NullRun, current_run
from components.tracking.run import FLUSH_POINTS, WARNING_TAG, Point, Run, pop, push


class FakeBackend:
    run_id = ref = "id"
    url = "#/runs/id"
    uri = "memory"

    def __init__(self) -> None:
        self.batches: list[list[Point]] = []
        self.tags: dict[str, str] = {}
        self.calls: list[tuple[Any, ...]] = []

    def log_points(self, points: list[Point]) -> None:
        self.batches.append(points)

    def set_tags(self, tags: dict[str, str]) -> None:
        self.tags |= tags

    def log_params(self, params: dict[str, str]) -> None:
        self.calls.append(("params", params))

    def log_image(self, key: str, image_u8: np.ndarray, step: int) -> None:
        self.calls.append(("image", key, step))

    def log_input(self, name: str, path: str, sha256: str, context: str) -> None:
        self.calls.append(("input", name, path, sha256, context))

    def log_artifact(self, path: Path, folder: str | None) -> None:
        self.calls.append(("artifact", path.name, folder))

    def end(self, status: str) -> None:
        self.calls.append(("end", status))


def test_points_wait_for_a_full_batch_and_none_is_lost() -> None:
    backend = FakeBackend()
    run = Run(backend)
    for step in range(FLUSH_POINTS // 2):
        assert not backend.batches
        run.log_metrics({"loss": 1.0 / (step + 1), "lr": 0.1}, step=step)
    assert [len(batch) for batch in backend.batches] == [FLUSH_POINTS]
    run.log_metrics({"loss": 0.0}, step=999)
    run.flush()
    points = [point for batch in backend.batches for point in batch]
    assert [point.step for point in points if point.key == "loss"] == [*range(FLUSH_POINTS // 2), 999]


def test_old_points_are_sent_with_the_next_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("components.tracking.run.time.monotonic", lambda: clock[0])
    backend = FakeBackend()
    run = Run(backend)
    run.log_metrics({"loss": 1.0}, step=1)
    clock[0] += 4.9
    run.progress(1, 10)
    assert not backend.batches
    clock[0] += 0.2
    run.progress(2, 10)
    assert len(backend.batches) == 1


def test_non_finite_values_become_a_warning_tag_and_not_a_failure() -> None:
    backend = FakeBackend()
    run = Run(backend)
    run.log_metrics({"loss": float("nan"), "lr": 0.1}, step=1)
    run.log_metrics({"loss": float("inf")}, step=2)
    run.flush()
    assert [point.key for point in backend.batches[0]] == ["lr"]
    assert backend.tags[WARNING_TAG] == "non-finite values left out: loss (2)"


def test_images_of_the_wrong_type_are_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        Run(FakeBackend()).log_image("x", np.zeros((4, 4, 3)))


def test_a_directory_with_an_unsafe_name_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a:b").write_text("x")
    backend = FakeBackend()
    with pytest.raises(ValueError, match="a:b"):
        Run(backend).log_artifact(tmp_path / "out")
    assert not backend.calls


def test_outside_a_run_everything_is_silent_but_progress() -> None:
    seen: list[tuple[int, int, dict[str, Any]]] = []
    run = NullRun(lambda done, total, fields: seen.append((done, total, fields)))
    run.log_metrics({"loss": 1.0})
    run.log_params({"a": 1})
    run.progress(3, 4, loss=0.5)
    assert seen == [(3, 4, {"loss": 0.5})]
    assert type(current_run()) is NullRun
    assert current_run().run_id == ""


def test_the_innermost_run_is_current() -> None:
    outer, inner = Run(FakeBackend()), Run(FakeBackend())
    push(outer)
    push(inner)
    assert current_run() is inner
    pop()
    assert current_run() is outer
    pop()


def test_the_package_imports_without_mlflow_and_torch() -> None:
    import subprocess

    code = "import sys, components.tracking; print([m for m in ('mlflow', 'torch') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
