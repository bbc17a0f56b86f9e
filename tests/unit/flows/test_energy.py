"""Energy of a stage, off counters: files as Linux lays them out, and a library with the calls of the GPUs' driver."""

import shutil
import subprocess

import pytest

from flows.energy import Meter

NONE = "no-such-library.so"
NVML = """
static unsigned long long used[2] = {5000000, 0};
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = &used[index]; return 0; }
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *energy) {
    if (FAILS && device == &used[1]) return 3;
    *energy = *(unsigned long long *)device;
    *(unsigned long long *)device += 1500;
    return 0;
}
"""


def domain(powercap, name, called, energy_uj, range_uj=262_143_328_850):
    folder = powercap / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{called}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder / "energy_uj"


def driver(folder, *, fails: bool) -> str:
    source = folder / "nvml.c"
    source.write_text(f"#define FAILS {int(fails)}\n{NVML}")
    library = folder / f"libnvml{int(fails)}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return str(library)


def test_the_packages_of_processors_are_added_and_their_parts_are_not(tmp_path):
    first = domain(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    second = domain(tmp_path, "intel-rapl:1", "package-1", 7_000_000)
    part = domain(tmp_path, "intel-rapl:0:0", "core", 0)
    whole = domain(tmp_path, "intel-rapl:2", "psys", 0)
    meter = Meter(tmp_path, NONE)
    first.write_text("3500000\n")
    second.write_text("7250000\n")
    part.write_text("99000000\n")
    whole.write_text("99000000\n")
    assert meter.used() == pytest.approx({"cpu": 2.75})


def test_a_counter_that_began_again_is_followed(tmp_path):
    file = domain(tmp_path, "intel-rapl:0", "package-0", 262_000_000, range_uj=262_143_000)
    meter = Meter(tmp_path, NONE)
    file.write_text("1000000\n")
    assert meter.used() == pytest.approx({"cpu": 1.143})
    file.write_text("2000000\n")
    assert meter.used() == pytest.approx({"cpu": 2.143})


def test_what_cannot_be_read_throughout_is_not_told(tmp_path):
    assert Meter(tmp_path / "none", NONE).used() == {}
    domain(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    file = domain(tmp_path, "intel-rapl:1", "package-1", 1_000_000)
    meter = Meter(tmp_path, NONE)
    file.rename(tmp_path / "aside")
    assert meter.used() == {}
    (tmp_path / "aside").rename(file)
    assert meter.used() == {}  # what was used meanwhile may have been a whole round
    file.unlink()
    assert Meter(tmp_path, NONE).used() == {}


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler, for a library with the driver's calls")
def test_gpus_are_added_and_none_is_told_where_one_is_silent(tmp_path):
    meter = Meter(tmp_path / "none", driver(tmp_path, fails=False))
    assert meter.used() == pytest.approx({"gpu": 3.0})
    assert meter.used() == pytest.approx({"gpu": 6.0})
    assert Meter(tmp_path / "none", driver(tmp_path, fails=True)).used() == {}
