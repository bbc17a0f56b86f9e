"""What a training reports, kept for the test to look at."""

from typing import Any


class KeptReport:
    """A report that remembers its numbers: (step, metrics) each time."""

    def __init__(self) -> None:
        self.metrics: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int = 0) -> None:
        self.metrics.append((step, dict(metrics)))

    def log_image(self, key: str, image_u8: Any, step: int = 0) -> None: ...

    def progress(self, done: int, total: int, **fields: float) -> None: ...
