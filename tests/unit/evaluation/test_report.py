import html.parser
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.evaluation.comparison import Difference, Guard, Row, WinRate
from components.evaluation.costs import Cost
from components.evaluation.report import (
    EnhancerGrid,
    Example,
    FewStepDrift,
    Report,
    Rewritten,
    Section,
    comparison_sheet,
    contact_sheet,
    png_data_uri,
    render_page,
    write_report,
)
from components.evaluation.worst import Worst, WorstOf
from components.models.training_record import Drift

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)> {{ facts }} 苹果'


def images(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.fixture
def report() -> Report:
    share = ("style_accuracy", "style accuracy", "share")
    far = ("lite0_frechet", "Lite0 Fréchet", "distance")
    moved = Difference("base", 0.031, -0.01, 0.07, "no difference beyond noise")
    nearer = Difference("base", -13.0, -17.0, -9.0, "better")
    rows = [
        Row("heldout_cell", "base", *share, 0.589, 0.52, 0.66, 1 / 6, 0.97, "is seen"),
        Row("heldout_cell", "sft", *share, 0.62, 0.55, 0.69, 1 / 6, 0.97, "is seen", moved),
        Row("heldout_cell", "base", *far, 53.0, 47.0, 59.0, 90.0, 3.0, HOSTILE),
        Row("heldout_cell", "sft", *far, 40.0, 35.0, 44.0, 90.0, 3.0, HOSTILE, nearer),
    ]
    examples = [
        Example(HOSTILE, {"base": images(1), "sft": images(5)}, images(2)),
        Example("a red apple, blob style", {"base": images(3), "sft": images(6)}, images(4)),
    ]
    section = Section("heldout_cell", "Unseen cells", "Style and concept apart?", 200, rows, examples)
    wins = [WinRate("sft", "base", 200, 4, 0.58, 0.51, 0.65)]
    guards = [Guard("lite0_frechet", "Lite0 Fréchet", "sft", "base", 0.755, 0.7, 0.81, 0.05, True)]
    return Report(["base", "sft"], [section], wins, guards, {"alignment": 1.0}, {"note": HOSTILE}, [HOSTILE])


class Collector(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> Collector:
    collector = Collector()
    collector.feed(page)
    return collector


def test_prompts_stay_text_and_nothing_is_loaded(report: Report) -> None:
    page = parsed(render_page(report))
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 6
    assert all((picture["src"] or "").startswith("data:image/png;base64,") for picture in pictures)
    assert [picture["alt"] for picture in pictures[:3]] == [
        f"{who}: {HOSTILE}" for who in ("pre-trained", "SFT", "real")
    ]
    assert page.text.count(HOSTILE) == 4
    assert not any("link" in tag or attributes.get("href") for tag, attributes in page.tags)


def test_each_model_stands_beside_the_one_before_chance_and_real(report: Report) -> None:
    text = " ".join(parsed(render_page(report)).text.split())
    assert "58.9 % 52.0 – 66.0 62.0 % 55.0 – 69.0 +3.1 (−1.0 to +7.0) no difference seen 16.7 97.0" in text
    assert "53 47 – 59 40 35 – 44 −13 (−17 to −9) better 90 3" in text


def test_a_winner_is_named_only_where_there_is_one(report: Report) -> None:
    winners = {"style_accuracy": None, "lite0_frechet": "sft"}
    told = replace(report, sections=[replace(report.sections[0], winners=winners)])
    text = " ".join(parsed(render_page(told)).text.split())
    assert "is seen no winner: no lead beyond noise 58.9 %" in text
    assert f"{HOSTILE} SFT is ahead of all 53" in text
    assert "winner:" not in parsed(render_page(report)).text


def test_wins_and_guards_are_told_with_their_intervals_and_their_judge(report: Report) -> None:
    text = " ".join(parsed(render_page(report)).text.split())
    assert "SFT preferred to pre-trained 58.0 % 95 % interval 51.0 – 65.0: beyond noise. 200 prompts, 4 ties" in text
    assert "Lite0 Fréchet, SFT ÷ pre-trained 0.755 95 % interval 0.700 – 0.810. Kept" in text
    assert (
        "judges that made the preference pairs, weighted (alignment 1). They are models: no person was asked." in text
    )


def test_the_directory_holds_the_numbers_the_page_and_the_sheets(tmp_path: Path, report: Report) -> None:
    write_report(tmp_path / "report", report)
    stored = json.loads((tmp_path / "report" / "report.json").read_text())
    assert stored["models"] == ["base", "sft"]
    assert [(row["model"], row["value"]) for row in stored["rows"][:2]] == [("base", 0.589), ("sft", 0.62)]
    assert stored["rows"][0]["difference"] is None
    assert stored["rows"][1]["difference"]["verdict"] == "no difference beyond noise"
    assert stored["num_prompts"] == {"heldout_cell": 200}
    assert stored["win_rates"][0]["share"] == 0.58
    assert stored["guards"][0]["is_kept"] is True
    assert (tmp_path / "report" / "index.html").read_text().startswith("<!doctype html>")
    for name in ("samples_base.png", "samples_sft.png", "compare.png"):
        with Image.open(tmp_path / "report" / name) as sheet:
            assert sheet.mode == "RGB"
    sheets = [(tmp_path / "report" / f"samples_{model}.png").read_bytes() for model in ("base", "sft")]
    assert sheets[0] != sheets[1]


def test_a_report_is_never_written_with_numbers_that_json_does_not_have(tmp_path: Path, report: Report) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_report(tmp_path / "report", replace(report, facts={"loss": float("nan")}))


@pytest.fixture
def drifted(report: Report) -> Report:
    rows = [
        Drift("poster", "alignment", 0.18, 0.2, 0.9),
        Drift("poster", "diversity", 9.1, 10.0, 0.91),
        Drift(HOSTILE, "alignment", 0.22, 0.2, 1.1),
        Drift("all", "frechet", 1250.0, 1200.0, 0.96),
    ]
    return replace(report, drift=FewStepDrift(rows, images(11), 8))


def test_drift_is_a_table_of_domains_and_what_was_lost_is_marked(drifted: Report) -> None:
    page = parsed(render_page(drifted))
    text = " ".join(page.text.split())
    assert "network evaluations of one image 8 12.5 times fewer than the 100 of 50 steps with guidance." in text
    assert "domain alignment diversity Fréchet distance" in text
    assert "poster 90.0 % 0.18 / 0.2 below the aim 91.0 % 9.1 / 10 –" in text
    assert f"{HOSTILE} 110.0 % 0.22 / 0.2 – –" in text
    assert "all – – 96.0 % 1,250 / 1,200" in text
    assert text.count("below the aim") == 1
    assert "script" not in {tag for tag, _ in page.tags}
    assert sum(attributes.get("src") == png_data_uri(images(11)) for _, attributes in page.tags) == 1


def test_drift_is_stored_for_machines_and_absent_where_there_is_none(
    tmp_path: Path, report: Report, drifted: Report
) -> None:
    for name, one, count in (("plain", report, 0), ("few", drifted, 4)):
        write_report(tmp_path / name, one)
        assert len(json.loads((tmp_path / name / "report.json").read_text())["drift"]) == count
        assert ("Drift of the few-step model" in (tmp_path / name / "index.html").read_text()) == bool(count)


def test_a_chain_of_one_model_has_a_page_too(tmp_path: Path) -> None:
    row = Row("heldout_cell", "base", "m", "metric", "similarity", 0.2, 0.1, 0.3, -0.05, 0.6, "")
    write_report(tmp_path / "report", Report(["base"], [Section("heldout_cell", "Cells", "", 1, [row], [])]))
    text = " ".join(parsed((tmp_path / "report" / "index.html").read_text()).text.split())
    assert "0.200 0.100 – 0.300 −0.050 0.600" in text


def test_the_sheet_holds_every_image_at_its_place() -> None:
    red = np.full((16, 16, 3), (255, 0, 0), np.uint8)
    is_red = (contact_sheet([("x", red)] * 9, columns=8, side_px=32) == (255, 0, 0)).all(axis=2)
    assert is_red.sum() == 9 * 32 * 32
    assert contact_sheet([]).shape[2] == 3


def test_the_comparison_has_the_models_in_the_order_of_the_chain_and_the_real_image_last() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    first, second, real = (np.full((16, 16, 3), colour, np.uint8) for colour in colours)
    example = Example("x", {"sft": second, "base": first}, real)
    sheet = comparison_sheet(["base", "sft"], [example] * 5, columns=2, side_px=32)
    found = [(sheet == colour).all(axis=2) for colour in colours]
    assert [is_there.sum() for is_there in found] == [5 * 32 * 32] * 3
    starts = [int(np.nonzero(is_there.any(axis=0))[0][0]) for is_there in found]
    assert starts == sorted(starts)
    assert len({int(np.nonzero(is_there.any(axis=1))[0][0]) for is_there in found}) == 1
    assert comparison_sheet(["base"], []).shape[2] == 3


def test_data_addresses_hold_the_exact_pixels() -> None:
    import base64
    import io

    image = images(9)
    data = base64.b64decode(png_data_uri(image).split(",", 1)[1])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), image)


@pytest.fixture
def grid() -> EnhancerGrid:
    score = ("style_accuracy", "style accuracy", "share")
    moved = Difference("sft", -0.031, -0.07, -0.01, "worse")
    rows = [
        Row("heldout", "sft", *score, 0.62, 0.55, 0.69, 1 / 6, 0.97, "is seen"),
        Row("heldout", "sft_enhanced", *score, 0.589, 0.52, 0.66, 1 / 6, 0.97, "is seen", moved),
    ]
    rewritten = [
        Rewritten(HOSTILE, HOSTILE + " at length", True),
        Rewritten("two apples", "two apples", False, "the answer lost count: two <b>"),
        Rewritten("a dog", "a dog, drawn well", True),
        Rewritten("a cat", "a cat, drawn well", True),
    ]
    examples = [Example(one.prompt, {"sft": images(1), "sft_enhanced": images(2)}, images(3)) for one in rewritten[:2]]
    wins = [WinRate("sft_enhanced", "sft", 40, 1, 0.42, 0.3, 0.55, 2)]
    return EnhancerGrid(["sft", "sft_enhanced"], rows, wins, rewritten, examples)


def test_the_enhancer_stands_beside_the_same_model_without_it(report: Report, grid: EnhancerGrid) -> None:
    page = parsed(render_page(replace(report, enhancer=grid)))
    text = " ".join(page.text.split())
    assert "drew 4 of these prompts once more" in text
    assert "25 % of the answers were refused" in text
    assert "SFT + enhancer preferred to SFT 42.0 % 95 % interval 30.0 – 55.0: no difference seen." in text
    assert "58.9 % 52.0 – 66.0 without: 62.0 −3.1 (−7.0 to −1.0) worse" in text
    assert f"{HOSTILE} at length" in text
    assert "drawn as it is: the answer lost count: two <b>" in text
    assert not {"script", "b>"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "With the prompt enhancer" not in render_page(report)


def test_the_grid_is_stored_beside_the_rows_of_the_chain(tmp_path: Path, report: Report, grid: EnhancerGrid) -> None:
    write_report(tmp_path / "with", replace(report, enhancer=grid))
    write_report(tmp_path / "without", report)
    found, plain = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("with", "without"))
    stored = found.pop("enhancer")
    assert plain.pop("enhancer") is None
    assert found == plain
    assert stored["models"] == ["sft", "sft_enhanced"]
    assert stored["fallback_frac"] == 0.25
    told, asked = (sum(len(one[name]) for one in stored["rewritten"]) for name in ("text", "prompt"))
    assert stored["length_ratio"] == pytest.approx(told / asked)
    assert stored["rows"][1]["difference"]["over"] == "sft"
    assert [one["was_enhanced"] for one in stored["rewritten"]] == [True, False, True, True]
    with Image.open(tmp_path / "with" / "compare_enhancer.png") as sheet:
        assert sheet.mode == "RGB"
    assert not (tmp_path / "without" / "compare_enhancer.png").exists()


def test_costs_and_worst_cases_are_tables_and_numbers(tmp_path: Path, report: Report) -> None:
    of_models = {
        name: Worst(0.2, 0.15, 0.25, -0.05, HOSTILE, images(seed))
        for seed, name in enumerate(("base", "sft"), start=20)
    }
    whole = replace(
        report,
        costs=[Cost("base", 32, 1.234), Cost("sft_enhanced", 8, 0.5)],
        worst=[WorstOf("animals", 7, of_models)],
    )
    write_report(tmp_path / "report", whole)
    page = parsed((tmp_path / "report" / "index.html").read_text())
    text = " ".join(page.text.split())
    assert "pre-trained 32 1.23 SFT + enhancer 8 0.5" in text
    assert f"animals 7 prompts 0.200 (0.150 – 0.250) −0.050: {HOSTILE}" in text
    assert not {"script", "b>"} & {tag for tag, _ in page.tags}
    for seed in (20, 21):
        assert sum(attributes.get("src") == png_data_uri(images(seed)) for _, attributes in page.tags) == 1
    stored = json.loads((tmp_path / "report" / "report.json").read_text())
    assert stored["costs"][1] == {"model": "sft_enhanced", "num_evaluations": 8, "gflops": 0.5}
    (category,) = stored["worst"]
    assert category["models"]["sft"] == {"mean": 0.2, "low": 0.15, "high": 0.25, "score": -0.05, "prompt": HOSTILE}
    for name in ("What one image costs", "Worst cases"):
        assert (name in text, name in render_page(report)) == (True, False)
