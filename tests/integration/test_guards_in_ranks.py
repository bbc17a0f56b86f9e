"""Two real processes of which one has trouble: both stop alike, and what they compute together is what one computes."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from components.launch.local import log_file, run_ranks

STRATEGIES = ("ddp", "fsdp2", "zero2", "zero3")
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, str(HERE / "guarded_ranks.py"), str(folder), *STRATEGIES]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE.parents[1]}",
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
    }
    ended = run_ranks(command, 2, environment, folder, grace_s=60, rank_0_serves=True)
    assert [one.code for one in ended] == [0, 0], log_file(folder, 0).read_text() + log_file(folder, 1).read_text()
    return folder, [json.loads((folder / f"found-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_trouble_all_is_done(found, strategy):
    both = [one[strategy] for one in found[1]]
    for one in both:
        assert one["none"]["ended"] == "complete"
        assert one["none"]["images_seen"] == 48
    assert both[0]["none"]["looks"] == both[1]["none"]["looks"]
    looks = both[0]["none"]["looks"]
    assert set(looks) == {"averaged 0", "raw 0", "averaged 48", "raw 48"}
    assert looks["averaged 0"] == pytest.approx(looks["raw 0"], rel=1e-6)
    assert looks["averaged 48"] != pytest.approx(looks["raw 48"], rel=1e-6)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("trouble", ["loss", "gradient"])
def test_no_process_updates_when_one_must_not(found, strategy, trouble):
    for rank, one in enumerate(one[strategy] for one in found[1]):
        assert one[trouble]["ended"].startswith(f"NonFiniteError: the {trouble} is not finite")
        assert one[trouble]["images_seen"] == 12
        record = json.loads((found[0] / strategy / trouble / f"not-finite-000000000012-rank{rank}.json").read_text())
        assert [batch["start"] for batch in record["batches"]] == [12 + 3 * rank, 18 + 3 * rank]
        if trouble == "gradient":
            # What lies before the second block in the network comes after it in the backward pass.
            assert {"transformer.layers.0", "transformer.layers.1"} <= set(record["groups"])
            assert "transformer.final_linear" not in record["groups"]
        else:
            assert record["processes_with_bad_loss"] == 1
            assert (record["terms"]["loss"] == "nan") == (rank == 1)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_signal_to_one_process_stops_all_after_the_same_step(found, strategy):
    for one in (one[strategy] for one in found[1]):
        assert one["signal"]["ended"].startswith("PreemptedError: stopped on request after 24 images")
        assert one["signal"]["saved"] == [24]


def test_what_two_processes_see_is_what_one_sees(found):
    sys.path.insert(0, str(HERE))
    try:
        from guarded_ranks import look_at, shaken_denoiser
    finally:
        sys.path.remove(str(HERE))
    alone = look_at(shaken_denoiser())
    for one in found[1]:
        assert one["look"]["losses"] == pytest.approx(alone["losses"], rel=1e-6)
        # Rounding may move a byte by one.
        assert np.abs(np.subtract(one["look"]["images"], alone["images"])).max() <= 1
    assert found[1][0]["look"] == found[1][1]["look"]


def test_every_strategy_sees_the_same_held_out_losses(found):
    looks = {strategy: found[1][0][strategy]["none"]["looks"] for strategy in STRATEGIES}
    for strategy in STRATEGIES:
        for look, losses in looks["ddp"].items():
            assert looks[strategy][look] == pytest.approx(losses, rel=1e-4), strategy
