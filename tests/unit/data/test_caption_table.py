"""A table of captions: every captioner's rows with its name, words where it failed, nothing where nothing is known."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from components.data.caption_table import Tally, caption_table, sample_slices, samples_of, write_captions
from components.data.captioners.interface import Made, Sample
from components.data.captioners.metadata import MetadataCaptioner
from components.data.captions import Caption
from components.data.records import CAPTIONS, CATEGORIES, read_table


def catalogue(*titles: str | None) -> pa.Table:
    rows = [
        {"sample_id": f"s{k}", "title_en": title, "title_zh": None, "tags_en": [], "tags_zh": None, "style": "flat"}
        | {"description_en": None}
        for k, title in enumerate(titles)
    ]
    return pa.Table.from_pylist(rows)


def categories(*places: tuple[str, str]) -> pa.Table:
    rows = [{"sample_id": f"s{k}", "category": name, "label_source": by} for k, (name, by) in enumerate(places)]
    return pa.Table.from_pylist(rows, schema=CATEGORIES)


class Looker:
    """Captions samples with an even number."""

    maker = "vlm/looker"

    def caption(self, samples: Sequence[Sample]) -> list[Made]:
        good = Made([Caption("short", "en", "seen")], (), 10, 2)
        return [good if int(one.sample_id[1:]) % 2 == 0 else Made(refused=["timeout"]) for one in samples]


SAMPLES = samples_of(
    catalogue("dog", "cat", None, None),
    categories(("animals", "tree"), ("animals", "model"), ("cluster 7", "cluster"), ("", "abstained")),
    {"s1": "MEOW"},
    {},
    ["en"],
)


def test_what_is_known_of_a_sample_is_gathered_and_a_clusters_number_is_no_category() -> None:
    assert [sample.words["en"].category for sample in SAMPLES] == ["animals", "animals", "", ""]
    assert [sample.words["en"].visible_text for sample in SAMPLES] == ["", "MEOW", "", ""]
    with pytest.raises(ValueError, match="languages is empty"):
        samples_of(catalogue("a"), categories(("", "")), {}, {}, [])


def test_words_stand_in_where_a_captioner_failed_and_nothing_where_nothing_is_known() -> None:
    tally = Tally()
    table = caption_table(SAMPLES, [Looker()], ["en"], tally)
    makers = {(row["sample_id"], row["maker"]) for row in table.to_pylist()}
    assert makers == {("s0", "vlm/looker"), ("s1", "metadata/1"), ("s2", "vlm/looker")}
    assert (tally.fallback_images, tally.uncaptioned_images) == (1, 1)
    assert tally.refused == {"timeout": 2}
    assert (tally.prompt_tokens, tally.completion_tokens) == (20, 4)


def test_several_captioners_stand_in_the_order_in_which_they_are_named() -> None:
    tally = Tally()
    table = caption_table(SAMPLES, [Looker(), MetadataCaptioner(["en"])], ["en"], tally)
    of_first = [row["maker"] for row in table.to_pylist() if row["sample_id"] == "s0" and row["kind"] == "short"]
    assert of_first == ["vlm/looker", "metadata/1"]
    assert (tally.fallback_images, tally.uncaptioned_images) == (0, 1)


def test_slices_give_the_table_that_all_at_once_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = catalogue("dog", "cat", None), categories(("animals", "tree"), ("", "abstained"), ("", "abstained"))
    at_once = caption_table(samples_of(*tables, {}, {}, ["en"]), [Looker()], ["en"], whole := Tally())
    monkeypatch.setattr("components.data.caption_table._SLICE_IMAGES", 2)
    asked: list[str] = []

    def load(ids: Sequence[str]) -> pa.Table:
        asked.extend(ids)
        return pa.table({"sample_id": list(ids), "bytes": [b"image"] * len(ids)})

    sliced = write_captions(tmp_path / "c.parquet", sample_slices(*tables, {}, load, ["en"]), [Looker()], ["en"])
    assert read_table(tmp_path / "c.parquet", CAPTIONS).equals(at_once)
    assert sliced == whole
    assert asked == ["s0", "s1", "s2"]
