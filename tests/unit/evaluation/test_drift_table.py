"""Students side by side: the table says what the last look measured, the chart has a panel for each domain."""

import numpy as np

from components.evaluation.drift_table import ablation_drift_chart, drift_markdown, drift_result


def look(updates: int, general: float, poster: float) -> dict[str, float | int]:
    return {
        "student_updates": updates,
        "drift/general/alignment": general,
        "drift/poster/alignment": poster,
        "drift/all/alignment": (general + poster) / 2,
        "drift/all/diversity": 0.91,
        "drift/general/diversity": 0.5,
        "drift/all/frechet": 1.02,
        "saturation": 1.1,
        "teacher/poster/alignment": 0.2,
    }


def test_the_last_look_counts_and_the_worst_domain_is_named_beside_it():
    result = drift_result("single", "one teacher", [look(0, 1.0, 1.0), look(8, 0.99, 0.4)], "")
    assert (result.student_updates, result.worst) == (8, 0.4)
    assert result.alignment == {"general": 0.99, "poster": 0.4, "all": (0.99 + 0.4) / 2}
    assert (result.diversity, result.frechet, result.saturation) == (0.91, 1.02, 1.1)


def test_the_table_has_a_column_for_each_domain():
    whole = drift_result("committee", "committee", [look(8, 0.99, 0.97)], "")
    broken = drift_result("single", "one teacher", [], "the loss is not finite")
    assert drift_markdown([whole, broken]).splitlines() == [
        "| training | alignment, general | alignment, poster | worst | diversity | Fréchet | colours |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| committee | 99.0% | 97.0% | 97.0% | 91.0% | 102.0% | 110.0% |",
        "| one teacher | – | – | – | – | – | – |",
        "",
        "one teacher: ended after 0 updates, the loss is not finite",
    ]


def test_the_chart_shows_every_training():
    looks = {"a": [look(0, 1.0, 1.0), look(8, 0.9, 0.8)], "b": [look(0, 1.0, 1.0), look(8, 0.7, 0.2)]}
    both = ablation_drift_chart({"a": "first", "b": "second"}, looks)
    one = ablation_drift_chart({"a": "first"}, looks)
    assert both.shape[2] == 3
    assert not np.array_equal(both, one)
