"""What training asks of whoever keeps its records. A tracking run has these methods; training knows no tracking."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8


@runtime_checkable
class Report(Protocol):
    """Where numbers, pictures and progress go; `step` is always the number of images seen."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record numbers by name."""
        ...

    def log_image(self, key: str, image_u8: UInt8[np.ndarray, "h w 3"], step: int) -> None:
        """Record a picture."""
        ...

    def progress(self, done: int, total: int, **fields: Any) -> None:
        """Show how far the stage is."""
        ...


class Remembering:
    """A report that passes everything on, and remembers the numbers of this attempt for a picture of them."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.history: dict[str, list[tuple[int, float]]] = {}

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record numbers by name."""
        for name, value in metrics.items():
            self.history.setdefault(name, []).append((step, value))
        self._report.log_metrics(metrics, step)

    def log_image(self, key: str, image_u8: UInt8[np.ndarray, "h w 3"], step: int) -> None:
        """Record a picture."""
        self._report.log_image(key, image_u8, step)

    def progress(self, done: int, total: int, **fields: Any) -> None:
        """Show how far the stage is."""
        self._report.progress(done, total, **fields)
