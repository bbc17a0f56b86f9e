"""Scores with honest intervals, published rows beside what they can be compared with, and a page of plain words."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap

from components.data.errors import DataError
from components.evaluation.benchmarks import geneval, longtext
from components.evaluation.benchmarks.official import geneval_scores, longtext_official, mean_of_tasks
from components.evaluation.benchmarks.official_oneig import oneig_scores
from components.evaluation.benchmarks.published import published
from components.evaluation.benchmarks.results import PAGE, RESULTS, Results, Shown, render_page, write_results
from components.evaluation.benchmarks.scores import Score, score
from components.evaluation.benchmarks.suite import Case, Suite, Unscored
from components.evaluation.intervals import wilson_interval

HOSTILE = '"><script>alert(1)</script> {{ 7 * 7 }}'


def mean(rows: np.ndarray) -> float:
    return float(rows.mean())


def suite_of(name: str, cases: list[Case]) -> Suite:
    place = geneval.place if name == "geneval" else longtext.place
    return Suite(name, name, "en", cases, 4, name, len(cases), place, [Unscored("overall", "a detector")])


def test_an_interval_is_that_of_another_bootstrap() -> None:
    rows = np.random.default_rng(0).beta(2, 3, (60, 1))
    [found] = score("m", "s", mean, rows, [""] * 60)
    other = bootstrap((rows[:, 0],), np.mean, n_resamples=5000, method="percentile", rng=1).confidence_interval
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=0.01)


def test_rows_all_alike_do_not_make_a_score_certain() -> None:
    everything, *groups = score("m", "s", mean, np.zeros((3, 1)), ["a", "b", "b"])
    assert (everything.low, everything.high) == wilson_interval(0, 3)
    assert [(one.group, one.num) for one in groups] == [("a", 1), ("b", 2)]


def test_geneval_is_the_mean_of_its_tasks_however_many_prompts_each_has(tmp_path: Path) -> None:
    cases = [Case(f"{n:05}", f"p{n}", "counting" if n < 3 else "colors") for n in range(4)]
    right = {0: 4, 1: 0, 2: 2, 3: 3}
    lines = [
        {"filename": f"/x/{n:05}/samples/{k:05}.png", "correct": k < right[n], "tag": cases[n].group}
        for n in range(4)
        for k in range(4)
    ]
    file = tmp_path / "results.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    found = {one.metric: one for one in geneval_scores(file, suite_of("geneval", cases))}
    assert found["counting"].value == 0.5
    assert found["colors"].value == 0.75
    assert found["overall"].value == pytest.approx((0.5 + 0.75) / 2)
    assert all(one.is_official and not one.group for one in found.values())
    assert mean_of_tasks(np.array([[1.0, 0], [0.0, 0], [1.0, 3]])) == 0.75


@pytest.mark.parametrize("fault", ["another folder", "one too few", "no verdict"])
def test_results_that_are_not_of_these_drawings_are_refused(fault: str, tmp_path: Path) -> None:
    cases = [Case("00000", "p", "colors")]
    lines = [{"filename": f"00000/samples/{k:05}.png", "correct": True} for k in range(4)]
    match fault:
        case "another folder":
            lines[1] = {"filename": "00009/samples/00000.png", "correct": True}
        case "one too few":
            lines.pop()
        case _:
            lines[1] = {"filename": "00000/samples/00001.png", "correct": "yes"}
    file = tmp_path / "results.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match=r"results\.jsonl"):
        geneval_scores(file, suite_of("geneval", cases))


def test_what_another_reader_read_is_scored_as_the_benchmark_does(tmp_path: Path) -> None:
    cases = [Case("0000", "p", "", "open daily"), Case("0007", "q", "", "no entry")]
    read = {"0000": "Open, daily!", "0007": "no exit"}
    lines = [{"image": f"/s/{key}_{n}.png", "ocr_results": read[key]} for key in read for n in range(1, 5)]
    file = tmp_path / "results.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    score_of_all, *_ = longtext_official(file, suite_of("longtext", cases))
    assert (score_of_all.metric, score_of_all.value, score_of_all.is_official) == ("en", 0.75, True)


def oneig_results(folder: Path, *, without: str = "") -> Path:
    """As the benchmark's scripts write them; drawings of two models were scored."""
    tables = {
        "alignment": "anime_000,0.5,1\nhuman_000,0.7,1\nobject_000,,1",
        "text": '000,"[10.0, 0.5, 0.25]","[0.0, 1.0, 1.0]"\n001,"[30.0, 0.0, 0.75]","[0.0, 1.0, 1.0]"',
        "reasoning": "000,0.3,1",
        "style": "000,0.4,1",
        "diversity": "anime_000,0.1,1\nhuman_000,0.3,1\ntext_000,0.2,1",
    }
    folder.mkdir()
    for metric, rows in tables.items():
        if metric != without:
            file = folder / f"{metric}_prompt_score_EN_2026-01-01_00-00-00.csv"
            file.write_text(f",turbo,other\n{rows}\n")
    return folder


ONEIG = [Case(f"{folder}/000", "p", folder) for folder in ("anime", "human", "object", "reasoning")]
ONEIG += [Case("text/000", "p", "text", "one two three"), Case("text/001", "p", "text", "one")]


def test_oneig_is_the_mean_of_five_scores_each_over_its_own_prompts(tmp_path: Path) -> None:
    suite = suite_of("longtext", ONEIG)
    found = {one.metric: one for one in oneig_scores(oneig_results(tmp_path / "results"), suite, "turbo")}
    text = 1 - 20 * (1 - 0.25) * (1 - (0.75 + 0.75) / 4) / 100
    expected = {"alignment": 0.6, "text": text, "reasoning": 0.3, "style": 0.4, "diversity": 0.2}
    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    assert found["overall"].value == pytest.approx(sum(expected.values()) / 5)
    assert found["overall"].low < found["overall"].value < found["overall"].high
    assert all(one.is_official for one in found.values())


def test_oneig_has_no_mean_of_four_scores_and_none_of_other_models(tmp_path: Path) -> None:
    suite = suite_of("longtext", ONEIG)
    found = oneig_scores(oneig_results(tmp_path / "results", without="style"), suite, "turbo")
    assert {one.metric for one in found} == {"alignment", "text", "reasoning", "diversity"}
    with pytest.raises(DataError, match=r"alignment_prompt.*line 2: 'base' is missing"):
        oneig_scores(tmp_path / "results", suite, "base")
    with pytest.raises(DataError, match=r"line 4: 'object_000' is no prompt of this benchmark"):
        oneig_scores(tmp_path / "results", suite_of("longtext", [*ONEIG[:2], *ONEIG[3:]]), "turbo")
    with pytest.raises(DataError, match="no alignment_prompt_score_EN"):
        oneig_scores(tmp_path, suite, "turbo")


def results(**changes: object) -> Results:
    scores = [Score("overall", 0.5, 0.4, 0.6, 553, "a detector", "", True), Score("diversity", 0.2, 0.1, 0.3, 9, "f")]
    said = {
        "name": "geneval",
        "title": "GenEval",
        "about": "",
        "shown_title": "",
        "model": "turbo",
        "facts": {"steps": 8, "model_sha256": "ab" * 32, "enhanced": False},
        "scores": scores,
        "unscored": [Unscored("style", "an encoder"), Unscored("mood", "an encoder")],
        "notes": [],
        "beside": published("geneval"),
    }
    return Results(**{**said, **changes})


def test_published_rows_stand_beside_official_scores_only() -> None:
    assert [one.metric for one in results().compared] == ["overall"]
    page = render_page(results(), [])
    assert "0.8856" in page
    assert "ours, with 95 % intervals" in page
    assert "0.9596" not in page  # the two-object task was not scored
    alone = render_page(results(beside=()), [])
    assert "0.8856" not in alone
    assert "ours, with" not in alone
    assert "None are shown" in alone
    assert "style, mood" in alone


def test_other_peoples_words_stay_words_and_the_page_loads_nothing(tmp_path: Path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    hostile = results(
        title=HOSTILE,
        about=HOSTILE,
        shown_title=HOSTILE,
        model=HOSTILE,
        facts={HOSTILE: HOSTILE},
        scores=[Score(HOSTILE, 0.5, 0.4, 0.6, 9, HOSTILE, group) for group in ("", HOSTILE)],
        unscored=[Unscored(HOSTILE, HOSTILE)],
        notes=[HOSTILE],
    )
    write_results(tmp_path, hostile, [Shown(HOSTILE, [picture], HOSTILE)])
    page = (tmp_path / PAGE).read_text()
    assert "<script" not in page
    assert "{{ 7 * 7 }}" in page
    assert "http" not in page.replace("http-equiv", "")
    assert json.loads((tmp_path / RESULTS).read_text())["model"] == HOSTILE
