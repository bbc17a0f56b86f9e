"""Licences, attributions, the card's front matter and the features of the Parquet schema."""

import json

import pyarrow as pa
import pytest
import yaml

from components.data.exports import card, credits, huggingface


def rows(*entries: tuple[str | None, ...]) -> pa.Table:
    names = ("source", "licence", "creator", "attribution")
    return pa.table({name: pa.array([e[i] for e in entries], pa.string()) for i, name in enumerate(names)})


def about(*licences: str) -> card.About:
    found = tuple(credits.Credit("s", licence, "m", "a", 3) for licence in licences)
    return card.About("a|b <i>", "1.0.0", "described", "2026-01-01", ("en",), "train", 1500, found)


def test_every_source_licence_and_maker_is_counted_once_and_what_is_missing_is_called_unknown() -> None:
    found = credits.credits_of(rows(("s", "MIT", "m", "by m"), ("s", None, "", "x"), ("s", "MIT", "m", "by m")))
    assert [(c.licence, c.creator, c.num_images) for c in found] == [("MIT", "m", 2), ("unknown", "unknown", 1)]
    assert credits.licences(found) == ["MIT", "unknown"]


@pytest.mark.parametrize(
    ("licence", "address"),
    [
        ("CC-BY-4.0", "https://spdx.org/licenses/CC-BY-4.0.html"),
        ("unknown", "unknown"),
        ("ask me first", "ask me first"),
        ("../../x", "../../x"),
    ],
)
def test_only_what_looks_like_spdx_becomes_an_address(licence: str, address: str) -> None:
    assert credits.licence_address(licence) == address


def test_words_of_makers_cannot_become_markup() -> None:
    evil = "<script>x</script>\n| [a](javascript:b) **c**"
    page = credits.attribution_page(credits.credits_of(rows((evil, evil, evil, evil))))
    last = page.splitlines()[-1]
    assert "<script" not in page
    assert last.replace("\\|", "").count("|") == 6  # five cells, whatever stands in them
    assert "](" not in page.replace("\\]", "")


def test_front_matter_is_yaml_that_the_hub_knows() -> None:
    front = yaml.safe_load(card.data_card(about("MIT"), "data/*.parquet", "").split("---")[1])
    assert front["license"] == "mit"
    assert front["size_categories"] == ["1K<n<10K"]
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/*.parquet"}]
    several = yaml.safe_load(card.data_card(about("MIT", "CC0-1.0"), "*.tar", "").split("---")[1])
    assert (several["license"], several["license_link"]) == ("other", "ATTRIBUTION.md")


@pytest.mark.parametrize(
    ("num", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**6, "1M<n<10M"), (10**13, "n>1T")],
)
def test_sizes_have_the_hubs_names(num: int, name: str) -> None:
    assert card.size_category(num) == name


def test_features_name_every_column_as_the_datasets_library_does() -> None:
    schema = huggingface.schema()
    found = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert list(found) == schema.names
    assert found["image"] == {"_type": "Image"}
    assert schema.field("image").type == pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    assert found["width"] == {"dtype": "int32", "_type": "Value"}
    assert found["captions"] == [{name: {"dtype": "string", "_type": "Value"} for name in ("kind", "language", "text")}]
