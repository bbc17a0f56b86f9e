"""Which models a takedown names: planted chains of records and a real registry, against what was planted."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.lineage.record import Item, Record, Samples, SampleSet
from flows.lineage.takedown_affected import affected
from flows.lineage.takedown_plan import Plan
from tests.ledgers import Planted, pack, plain_root, sample_ledger, sha

# MLflow 3.17 still uses what SQLAlchemy 2.1 deprecates; ours are errors, theirs are not ours to fix.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

READ_BY = {"export": ("sft", "evaluate"), "export_turbo": ("distill", "evaluate")}
NAMES = {"export": "easel", "export_turbo": "easel-turbo"}


class Place:
    """A workspace of two versions of the chain, and of a third whose two models share nothing but their evaluation."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "clone"
        self.planted: Planted = sample_ledger(self.root / ".easel" / "ledger", versions=2)
        self.ids = dict(self.planted.ids)
        self.records = {one.id: one for one in self.planted.records}
        self._add_two_models()
        self._register()

    def _add(self, stage: str, reads: dict[str, str], write: str, sets: dict[str, list[str]]) -> None:
        at = "2026-11-23T20:00:00.000Z"
        packed = {plain_root(pack(ids)): pack(ids) for ids in sets.values()}
        found = Samples(
            sets=tuple(
                SampleSet.model_validate({"role": role, "root": plain_root(pack(ids)), "count": len(ids)})
                for role, ids in sets.items()
            )
        )
        inputs = tuple(
            Item(role=Path(path).name, path=path, sha256=sha(f"{path} of version 3"), size=1, made_by=self.ids[maker])
            for path, maker in reads.items()
        )
        record = Record(
            kind="stage", subject=stage, fingerprint=sha(f"{stage} made from version 3"), started_at=at, ended_at=at,
            parents=tuple(one.made_by for one in inputs), inputs=inputs, samples=found,
            outputs=(Item(role=Path(write).name, path=write, sha256=sha(f"{write} of version 3"), size=1),),
        )  # fmt: skip
        self.planted.ledger.append(record, {f"sets/{root}": data for root, data in packed.items()})
        self.ids[f"{stage}@3"], self.records[record.id] = record.id, record

    def _add_two_models(self) -> None:
        """`sft` draws one image, `distill` is offered another; each has its weights; one report is of both."""
        base, turbo, report = "artifacts/models/sft", "artifacts/models/turbo", "artifacts/report"
        self._add("sft", {}, base, {"offered": [sha("x"), sha("common")], "drawn": [sha("x"), sha("common")]})
        self._add("distill", {}, turbo, {"offered": [sha("y"), sha("common")], "drawn": [sha("common")]})
        self._add("evaluate", {base: "sft@3", turbo: "distill@3"}, report, {"held_out": [sha("z")]})
        self._add("export", {base: "sft@3", report: "evaluate@3"}, "artifacts/export", {})
        self._add("export_turbo", {turbo: "distill@3", report: "evaluate@3"}, "artifacts/export_turbo", {})

    def _register(self) -> None:
        """Versions 1, 2 and 3 of both families, tagged as `flows.provenance` does; the first turbo is live."""
        store = self.root / ".easel" / "mlflow"
        store.mkdir(parents=True)
        client = MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
        for export, name in NAMES.items():
            client.create_registered_model(name)
            for end in ("", "@2", "@3"):
                stages = [export, *READ_BY[export]]
                marks = {f"easel.fingerprint.{one}": self.records[self.ids[one + end]].fingerprint for one in stages}
                client.create_model_version(name, source=self.root.as_uri(), tags=marks)
            stranger = {f"easel.fingerprint.{export}": sha("made elsewhere")}
            client.create_model_version(name, source=self.root.as_uri(), tags=stranger)
        client.set_registered_model_alias("easel-turbo", "champion", "1")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("affected"))


def versions(*numbers: int) -> set[str]:
    return {f"{name}:{number}" for name in NAMES.values() for number in numbers}


@pytest.mark.parametrize(
    ("image", "models", "offered_only"),
    [
        pytest.param("image 3", versions(1), set[str](), id="drawn by the first version, not there in the second"),
        pytest.param("image 46", versions(1, 2), versions(1), id="offered to the first, drawn by the second"),
        pytest.param("image 8", versions(2), set[str](), id="held out from the first, whose evaluation read it"),
        pytest.param("image 2 of 2", versions(2), versions(2), id="offered to the second alone"),
        pytest.param("image 59", set[str](), set[str](), id="dropped by a filter"),
        pytest.param("x", {"easel:3"}, set[str](), id="drawn by the one model that the report is about"),
        pytest.param("y", {"easel-turbo:3"}, {"easel-turbo:3"}, id="offered to the other"),
        pytest.param("common", versions(3), set[str](), id="drawn by both"),
        pytest.param("z", set[str](), set[str](), id="seen by the evaluation alone"),
        pytest.param("stranger", set[str](), set[str](), id="never seen"),
    ],
)
def test_models_are_those_whose_own_trainings_saw_the_image(
    place: Place, monkeypatch: pytest.MonkeyPatch, image: str, models: set[str], offered_only: set[str]
) -> None:
    for name in ("EASEL_HOME", "EASEL_LEDGER", "EASEL_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    told = affected(place.root, place.planted.ledger, [sha(image)], Plan())
    assert (set(told.models), set(told.offered_only)) == (models, offered_only)
    assert set(told.aliases) == ({"easel-turbo:champion"} if "easel-turbo:1" in models else set())


def test_what_stands_on_the_image_by_its_evaluation_is_among_the_records(place: Place) -> None:
    told = affected(place.root, place.planted.ledger, [sha("x")], Plan())
    ids = [place.ids[f"{stage}@3"] for stage in ("sft", "evaluate", "export", "export_turbo")]
    assert set(told.records) == set(ids)
    assert set(told.runs) == {place.ids["sft@3"]}
    assert told.datasets == ()
