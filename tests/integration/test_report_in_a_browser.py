"""The reports in a real browser: what looks like markup stays words, and a phone need not scroll aside."""

import html.parser
import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from components.data import records
from components.data.config import DecodeLimits, ReportExamples
from components.data.report.build import build_report
from components.data.report.tables import Tables
from components.evaluation.benchmarks.published import published
from components.evaluation.benchmarks.results import Results, Shown
from components.evaluation.benchmarks.results import render_page as benchmark_page
from components.evaluation.benchmarks.scores import Score
from components.evaluation.benchmarks.suite import Unscored
from components.evaluation.comparison import Difference, Guard, Row, WinRate
from components.evaluation.costs import Cost
from components.evaluation.report import EnhancerGrid, Example, FewStepDrift, Report, Rewritten, Section, render_page
from components.evaluation.worst import Worst, WorstOf
from components.models.training_record import Drift

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = '"><script>document.title = "taken"</script><img src=x onerror="document.title = 1"> ' + "unbroken" * 30

MEASURES = ("alignment", "aesthetic_proxy", "lettering", "diversity", "frechet", HOSTILE)


def table(schema: pa.Schema, **row: object) -> pa.Table:
    blank = {field.name: HOSTILE if pa.types.is_string(field.type) else None for field in schema}
    return pa.Table.from_pylist([blank | row], schema)


def data_report(tmp_path: Path) -> str:
    """The page of one image whose every text is an attack."""
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "PNG")
    one = {"sample_id": "ab" * 32}
    records.write_table(table(records.IMAGES, **one, bytes=out.getvalue()), records.part_file(tmp_path, 0))
    tables = Tables(
        catalogue=table(records.CATALOGUE, **one, width=40, height=30, num_bytes=70, shard=0, row=0),
        refusals=table(records.REFUSALS, name=HOSTILE, status="refused", reason="link", detail=HOSTILE),
        quarantine=table(records.QUARANTINE),
        verdicts=table(records.VERDICTS, **one, kept=True, reason="", duplicate_of=""),
        categories=table(records.CATEGORIES, **one),
        captions=table(records.CAPTIONS, **one),
        ocr=table(records.OCR, **one),
        scores=table(records.SCORES, **one, aesthetic=1.0),
        selection=table(records.SELECTION, **one, split="train", probability=1.0),
        score_note=HOSTILE,
    )
    limits = DecodeLimits(max_pixels=10**6, max_bytes=10**6, max_ratio=1e6)
    return build_report(tables, tmp_path, ReportExamples(3, 3, 3, 32), limits)[1]


def evaluation(tmp_path: Path) -> str:
    """The page of three models, the last one distilled, where every text that is not ours is an attack."""
    image = np.zeros((16, 16, 3), np.uint8)
    models = ["base", "sft", HOSTILE]
    change = Difference("base", 0.01, -0.02, 0.03, "no difference beyond noise")
    metric = ("accuracy", HOSTILE, "share", 0.5, 0.4, 0.6, 0.1, 0.9, HOSTILE)
    rows = [Row("heldout", model, *metric, change if model != "base" else None) for model in models]
    example = Example(HOSTILE, dict.fromkeys(models, image), image)
    wins = [WinRate(HOSTILE, "sft", 20, 0, 0.6, 0.4, 0.8)]
    guards = [Guard("accuracy", HOSTILE, HOSTILE, "sft", 1.01, 0.9, 1.1, 0.05, True)]
    sections = [Section("heldout", HOSTILE, HOSTILE, 20, rows, [example] * 3, {"accuracy": HOSTILE})]
    drift = [Drift(domain, measure, 0.19, 0.2, 0.95) for domain in ("all", HOSTILE) for measure in MEASURES]
    few_steps = FewStepDrift(drift, np.zeros((300, 1200, 3), np.uint8), 8)
    told = [Rewritten(HOSTILE, HOSTILE, was_enhanced, HOSTILE) for was_enhanced in (True, False)]
    cells = [name + end for name in (HOSTILE, "sft") for end in ("", "_enhanced")]
    of_cells = [Row("heldout", cell, *metric, change if number % 2 else None) for number, cell in enumerate(cells)]
    grid = EnhancerGrid(cells, of_cells, wins, told, [Example(HOSTILE, dict.fromkeys(cells, image), image)] * 3)
    facts = {HOSTILE: HOSTILE}
    costs = [Cost(HOSTILE, 32, 1.2)]
    worst = [WorstOf(HOSTILE, 7, {model: Worst(0.2, 0.1, 0.3, -0.1, HOSTILE, image) for model in models})]
    shown = (wins, guards, {HOSTILE: 1.0}, facts, [HOSTILE], few_steps, grid, costs, worst)
    return render_page(Report(models, sections, *shown))


def benchmark(tmp_path: Path) -> str:
    """The page of a benchmark whose every text is an attack, beside published rows."""
    scores = [Score("overall", 0.5, 0.4, 0.6, 9, HOSTILE, "", True), Score(HOSTILE, 0.5, 0.4, 0.6, 9, HOSTILE, HOSTILE)]
    names = (HOSTILE,) * 5
    unscored, facts = [Unscored(HOSTILE, HOSTILE)], {HOSTILE: HOSTILE}
    results = Results(
        *names, facts=facts, scores=scores, unscored=unscored, notes=[HOSTILE], beside=published("geneval")
    )
    return benchmark_page(results, [Shown(HOSTILE, [np.zeros((16, 16, 3), np.uint8)], HOSTILE)] * 3)


PAGES = {"Easel data report": data_report, "Easel report": evaluation, "Easel benchmark": benchmark}


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A page by its title, in a file."""
    file = tmp_path / "index.html"
    file.write_text(PAGES[request.param](tmp_path), encoding="utf-8")
    return file


def chromium(tmp_path: Path, *arguments: str) -> str:
    """What a headless browser prints."""
    assert CHROMIUM
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command = [CHROMIUM, *flags, f"--user-data-dir={tmp_path / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_attacks_stay_words_in_a_browser(page: Path, tmp_path: Path) -> None:
    dom = chromium(tmp_path, "--dump-dom", page.as_uri())
    tags = list[str]()
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)
    parser.feed(dom)
    assert any(f"<title>{title}</title>" in dom for title in PAGES)
    assert "script" not in tags
    assert dom.count("&lt;script&gt;") > 5
    assert "index.html" not in re.sub(r"<[^>]*>", "", dom)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_phone_shows_the_whole_width(page: Path, tmp_path: Path) -> None:
    # The policy of the page allows no script, so a frame as wide as a phone is measured by what lies outside of it.
    frame = tmp_path / "frame.html"
    frame.write_text(
        "<body style='margin:0'><iframe id=f src=index.html style='width:390px;height:4000px;border:0'></iframe>"
        "<script>f.onload = () => document.title = f.contentDocument.documentElement.scrollWidth</script></body>"
    )
    dom = chromium(tmp_path, "--allow-file-access-from-files", "--dump-dom", frame.as_uri())
    found = re.search(r"<title>(\d+)</title>", dom)
    assert found
    assert int(found[1]) <= 390
