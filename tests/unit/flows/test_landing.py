"""What a landing and a build of a data set tell a person."""

import json
from collections import Counter
from pathlib import Path

from components.data.landing import Landing
from components.data.readers.interface import Refusal
from flows.landing import data_stages, funnel, summary
from flows.pipeline import PIPELINE


def test_the_data_stages_are_what_a_data_set_needs_and_no_training() -> None:
    stages = data_stages()
    assert {"ingest", "filter_images", "categorize", "caption", "score", "sample", "encode", "data_report"} <= set(
        stages
    )
    assert not [name for name in stages if "train" in name or name in ("evaluate", "export", "register")]
    assert [name for name in PIPELINE.names if name in stages] == list(stages)


def test_the_funnel_reads_the_metrics_that_are_there(tmp_path: Path) -> None:
    for stage, metrics in {
        "ingest": {"offered_images": 9, "catalogued_images": 8},
        "filter_images": {"kept_images": 5},
        "sample": {"selected_images": 4},
    }.items():
        assert set(metrics) <= set(PIPELINE[stage].metric_names)
        file = tmp_path / PIPELINE[stage].metrics_path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(metrics))
    assert [number for _, number in funnel(tmp_path)] == [9, 8, 5, 4]


def test_the_summary_counts_every_reason_and_shows_the_first() -> None:
    counts = Counter({("landed", ""): 1200, ("refused", "link"): 1, ("opted_out", "noai"): 30})
    first = Refusal("a.jpg", "link", "to /etc/passwd")
    lines = summary(Landing(1300, 69, 2, 1, counts, first), "photos")
    assert lines == [
        "data/photos: 1,200 images landed in 1 part",
        "  69 items were there already",
        "  2 items changed: both versions are there now (--force lands all anew)",
        "  30 opted out: noai",
        "  1 refused: link",
        "  first: a.jpg: link to /etc/passwd",
        "  all of them: data/photos/landed/",
    ]
