import numpy as np

from components.evaluation.ablation import ablation_chart, arm_result, markdown_table
from components.evaluation.comparison import WinRate

HISTORY = {
    "health/win_ratio": [(0, 1.0), (64, 0.9)],
    "health/lose_ratio": [(0, 1.0), (32, 3.0), (64, 2.0)],
    "health/accuracy": [(0, 0.5), (64, 0.625)],
    "health/margin": [(0, 0.0), (64, 0.004)],
    "train/drift": [(32, 0.1), (48, 0.2)],
}


def test_a_result_is_that_of_the_last_look_and_the_worst_of_all() -> None:
    result = arm_result("naive", "DPO term alone", HISTORY, None, "")
    assert (result.win_ratio, result.lose_ratio, result.worst_lose_ratio) == (0.9, 2.0, 3.0)
    assert (result.accuracy, result.margin, result.drift, result.pairs_seen) == (0.625, 0.004, 0.2, 64)


def test_a_training_that_broke_down_at_once_has_no_figures() -> None:
    table = markdown_table([arm_result("naive", "DPO term alone", {}, None, "the loss is not finite")])
    assert table.splitlines()[2] == "| DPO term alone | – | – | – | – | – | – | – |"
    assert "DPO term alone: ended after 0 pairs, the loss is not finite" in table


def test_the_table_has_a_row_for_each_training_with_as_many_cells() -> None:
    judged = WinRate("both", "sft", 40, 2, 0.6, 0.45, 0.73)
    results = [
        arm_result("naive", "DPO term alone", HISTORY, None, ""),
        arm_result("both", "both", HISTORY, judged, ""),
    ]
    lines = markdown_table(results).splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {9}
    assert lines[3].endswith("| 60.0% (45.0% to 73.0%, 40 prompts) |")
    assert "| 0.9000 | 2.0000 | 3.0000 | 62.5% | 4.00e-03 | 2.00e-01 |" in lines[3]


def test_every_training_has_its_own_line() -> None:
    titles = {arm: arm for arm in ("naive", "anchors", "sdpo", "both")}
    flat = {arm: HISTORY for arm in titles}
    whole = ablation_chart(titles, flat)
    for number, arm in enumerate(titles):
        moved = {**HISTORY, "health/lose_ratio": [(0, 1.0), (32, 3.0 + number), (64, 4.0)]}
        assert not np.array_equal(whole, ablation_chart(titles, {**flat, arm: moved}))
