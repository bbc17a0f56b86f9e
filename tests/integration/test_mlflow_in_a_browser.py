"""What a researcher does in MLflow's own pages, in a real browser: compares curves, pictures, tables and versions.

The server is the one of `easel ui`, over a small store that is written as stages write it.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import mlflow
import numpy as np
import pytest

from components.registry.hashes import write_hashes
from components.registry.registration import register_directory
from components.tracking import open_run
from components.tracking.tables import log_tables
from flows import settings
from flows.server import start_mlflow, stop
from tests.integration.browser import CHROMIUM, Page, opened

# MLflow 3.17 still uses what SQLAlchemy 2.1 deprecates; ours are errors, theirs are not ours to fix.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
]
SEEN = [0, 22_400, 44_800]
"""Images seen at each look: the steps of curves and pictures."""
LOSSES = {"pretrain_1": [2.0, 1.2, 0.9], "pretrain_2": [1.2, 0.8, 0.6]}


@dataclass(frozen=True)
class Store:
    """A running server, and ids of what it holds."""

    url: str
    experiment: str
    runs: dict[str, str]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    root = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("EASEL_HOME", raising=False)
        patch.delenv("EASEL_TRACKING_URI", raising=False)
        settings.home(root).joinpath("mlflow").mkdir(parents=True)
        runs = write_runs(root)
        server = start_mlflow(root)
        try:
            found = mlflow.MlflowClient(settings.tracking_uri(root)).get_experiment_by_name(settings.EXPERIMENT)
            assert found
            yield Store(server.url, found.experiment_id, runs)
        finally:
            stop(server)
            mlflow.set_tracking_uri(None)


def write_runs(root: Path) -> dict[str, str]:
    """A build with two trainings and a registered version, in the store of the workspace `root`."""
    where, runs = settings.tracking_store(root), dict[str, str]()
    with open_run("build 1", tags={"easel.build": "1"}, **where) as build:
        for place, (name, losses) in enumerate(LOSSES.items()):
            with open_run(name, parent_run_id=build.ref, tags={"easel.stage": name}, **where) as run:
                runs[name] = run.run_id
                run.log_params({"training": {"seed": place}})
                for seen, loss in zip(SEEN, losses, strict=True):
                    run.log_metrics({"held_out/heldout_cell": loss, "train/loss": loss + 0.1}, step=seen)
                    run.log_image("samples", np.full((32, 48, 3), 60 * place + seen // 400, np.uint8), step=seen)
                log_tables(run, {"scores": [{"measure": "heldout/alignment", "value": 0.2 + place}]})
    mlflow.set_tracking_uri(settings.tracking_uri(root))
    export = root / "export"
    export.mkdir()
    (export / "model_index.json").write_text("{}")
    register_directory(
        export,
        uri=settings.tracking_uri(root),
        experiment=settings.EXPERIMENT,
        source_run_id=runs["pretrain_2"],
        name="easel",
        digest=write_hashes(export),
        tags={"easel.recipe": "smoke"},
        metrics={"heldout/alignment": 0.25},
    )
    return runs


@pytest.fixture
def page(store: Store, tmp_path: Path) -> Iterator[Page]:
    """A browser of the size of a desk's screen, on the list of runs, without MLflow's offer to chat."""
    with opened(f"{store.url}/#/experiments/{store.experiment}/runs", tmp_path / "profile") as page:
        page.send("Page.enable")
        page.send("Emulation.setDeviceMetricsOverride", width=1600, height=1000, deviceScaleFactor=1, mobile=False)
        click(page, "document.querySelector('[aria-label=Close]')")
        yield page


def click(page: Page, element: str) -> None:
    """Click on an element as soon as it is there."""
    page.wait(f"!!({element})")
    page.value(f"({element}).scrollIntoView({{block: 'center'}})")
    box = f"({element}).getBoundingClientRect()"
    point = page.value(f"(box => ({{x: box.x + box.width / 2, y: box.y + box.height / 2}}))({box})")
    for kind in ("mousePressed", "mouseReleased"):
        page.send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **point)


def saying(text: str, selector: str = "*") -> str:
    """The innermost element with exactly this text."""
    return (
        f"[...document.querySelectorAll('{selector}')].filter(e => e.innerText?.trim() === {json.dumps(text)}).at(-1)"
    )


def keep(page: Page, file: Path) -> None:
    """Write what the browser shows."""
    file.write_bytes(base64.b64decode(page.send("Page.captureScreenshot", format="png")["data"]))
    assert file.stat().st_size > 20_000


def open_build(page: Page) -> None:
    """Show the stages below the build in the list of runs."""
    click(page, "document.querySelector('button[data-component-id*=runnamecellrenderer]')")
    page.wait(f"!!({saying('pretrain_2')})")


def show_as(page: Page, mode: str) -> None:
    """Go over to one of the list's ways to show runs: CHART, ARTIFACT."""
    click(page, f"document.querySelector('input[value={mode}]').closest('label, span')")


def test_curves_of_stages_stand_over_images_seen_in_one_chart(page: Page, tmp_path: Path) -> None:
    open_build(page)
    show_as(page, "CHART")
    for name in ("pretrain_2", "pretrain_1"):
        page.wait(f"document.body.innerText.includes('{name} (held_out/heldout_cell)')")
    ticks = "[...document.querySelectorAll('.xtick text')].map(e => e.textContent)"
    page.wait(f"{ticks}.includes('40k')")  # of 44,800 images
    keep(page, tmp_path / "curves.png")


def test_pictures_have_a_slider_over_images_seen(page: Page, store: Store, tmp_path: Path) -> None:
    page.send("Page.navigate", url=f"{store.url}/#/experiments/{store.experiment}/runs/{store.runs['pretrain_2']}")
    click(page, saying("Model metrics"))
    page.wait(f"!!({saying('Add section')})")
    page.value(f"({saying('Add section')}).scrollIntoView()")  # pictures are drawn once they are seen
    slider = "document.querySelector('[role=slider]')"
    page.wait(f"!!({slider})")
    source = "[...document.images].map(e => e.src).find(src => src.includes('samples'))"
    first = page.wait(source)
    assert page.value(f"({slider}).getAttribute('aria-valuemin')") == "0"
    assert page.value(f"({slider}).getAttribute('aria-valuemax')") == str(SEEN[-1])
    page.value(f"({slider}).focus()")
    page.press("ArrowRight")
    page.wait(f"({source}) !== {json.dumps(first)}")
    keep(page, tmp_path / "pictures.png")


def test_selected_runs_are_compared_metric_by_metric(page: Page, tmp_path: Path) -> None:
    open_build(page)
    for place in (1, 2):  # the build itself stands above them
        click(page, f"document.querySelectorAll('.ag-row [aria-label^=\"Press Space to toggle row\"]')[{place}]")
    click(page, saying("Compare", "button"))
    page.wait("document.body.innerText.includes('Comparing 2 Runs')")
    for text in ("held_out/heldout_cell", "pretrain_1", "pretrain_2", "training.seed", "0.9", "0.6"):
        page.wait(f"document.body.innerText.includes({json.dumps(text)})")
    keep(page, tmp_path / "compared.png")


def test_tables_of_runs_stand_side_by_side(page: Page, tmp_path: Path) -> None:
    open_build(page)
    show_as(page, "ARTIFACT")
    for text in ("scores.json", "heldout/alignment", "0.2", "1.2"):
        page.wait(f"document.body.innerText.includes({json.dumps(text)})")
    keep(page, tmp_path / "tables.png")


def test_a_version_says_what_it_was_made_of_and_what_it_reached(page: Page, store: Store, tmp_path: Path) -> None:
    page.send("Page.navigate", url=f"{store.url}/#/models/easel/versions/1")
    for text in ("easel.recipe", "smoke", "metric.heldout/alignment", "0.25", "candidate", "pretrain_2"):
        page.wait(f"document.body.innerText.includes({json.dumps(text)})")
    keep(page, tmp_path / "version.png")
    assert httpx.get(f"{store.url}/health", trust_env=False, timeout=120).text == "OK"
