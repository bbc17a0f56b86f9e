"""How much energy a machine used while a stage ran, by its own counters: of processors (RAPL) and of GPUs (NVML).

They count for the whole machine, whoever else works on it. Where there is no counter, or it may not be read, or it
fails in between, nothing is said: no figure is ever estimated.

Sources: Linux, Documentation/power/powercap/powercap.rst; NVML API, nvmlDeviceGetTotalEnergyConsumption.
"""

import ctypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
NVML = "libnvidia-ml.so.1"
LOOK_S = 30.0
"""How often processors are asked: their counters begin again within minutes."""


@dataclass
class _Counter:
    """One counter in joules, which begins again after `range_j` (0: never); `used` since it was first asked."""

    kind: str
    read: Callable[[], float]
    range_j: float = 0.0
    last: float = 0.0
    used: float = 0.0
    is_lost: bool = False

    def look(self) -> None:
        """Add what was used since the last look."""
        try:
            now = self.read()
        except (OSError, ValueError):
            self.is_lost = True
            return
        step = now - self.last if now >= self.last else now - self.last + self.range_j
        self.is_lost |= step < 0
        self.used, self.last = self.used + step, now


class Meter:
    """Counts from its making on.

    Args:
        powercap: where Linux shows the processors' counters.
        nvml: the library of the GPUs' driver.
    """

    def __init__(self, powercap: Path = POWERCAP, nvml: str = NVML) -> None:
        self._counters = [*_processors(powercap), *_gpus(nvml)]
        for counter in self._counters:
            counter.look()
            counter.used = 0.0
        self._lock = threading.Lock()
        if any(counter.range_j for counter in self._counters):
            threading.Thread(target=self._watch, daemon=True, name="energy").start()

    def used(self) -> dict[str, float]:
        """Joules so far, `cpu` and `gpu`; a kind of which any counter is missing is left out."""
        self._look()
        lost = {counter.kind for counter in self._counters if counter.is_lost}
        found = dict[str, float]()
        for counter in self._counters:
            if counter.kind not in lost:
                found[counter.kind] = found.get(counter.kind, 0.0) + counter.used
        return found

    def _look(self) -> None:
        with self._lock:
            for counter in self._counters:
                counter.look()

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK_S)
            self._look()


def _processors(powercap: Path) -> list[_Counter]:
    """One for each processor package; parts of a package (`intel-rapl:0:0`) are in it already."""
    found = list[_Counter]()
    for folder in sorted(powercap.glob("intel-rapl:*")):
        try:
            if folder.name.count(":") > 1 or not (folder / "name").read_text().startswith("package"):
                continue
            range_j = int((folder / "max_energy_range_uj").read_text()) / 1e6
        except (OSError, ValueError):
            continue
        found.append(_Counter("cpu", lambda file=folder / "energy_uj": int(file.read_text()) / 1e6, range_j))
    return found


def _gpus(nvml: str) -> list[_Counter]:
    """One for each GPU that the driver shows to this process."""
    try:
        library = ctypes.CDLL(nvml)
        if library.nvmlInit_v2() != 0:
            return []
        count = ctypes.c_uint()
        if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return []
        return [_Counter("gpu", _gpu_counter(library, index)) for index in range(count.value)]
    except (OSError, AttributeError):  # no such library, or one that knows no such call
        return []


def _gpu_counter(library: ctypes.CDLL, index: int) -> Callable[[], float]:
    device, ask = ctypes.c_void_p(), library.nvmlDeviceGetTotalEnergyConsumption
    is_found = library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(device)) == 0

    def read() -> float:
        millijoules = ctypes.c_ulonglong()
        if not is_found or ask(device, ctypes.byref(millijoules)) != 0:
            raise OSError(f"GPU {index} does not tell its energy")
        return millijoules.value / 1000

    return read
