"""Which samples are captioned by whom, where words are missing."""

from components.data.caption_table import NAMELESS, caption_table
from components.data.captioners.interface import Sample
from components.data.captioners.metadata import MetadataCaptioner
from components.data.captions import Words


def sample(number: int, en: str = "", zh: str = "") -> Sample:
    words = {"en": Words(en, [], "", "", ""), "zh": Words(zh, [], "", "", "")}
    return Sample(sample_id=str(number), image=b"", words=words)


def test_an_image_of_which_nothing_is_known_has_the_general_name_or_none() -> None:
    samples = [sample(0, en="an apple"), sample(1), sample(2, zh="苹果")]
    captioners = [MetadataCaptioner(["en", "zh"])]
    without, tally = caption_table(samples, captioners, ["en", "zh"])
    assert set(without.column("sample_id").to_pylist()) == {"0"}
    assert (tally.uncaptioned_images, tally.nameless_images) == (2, 0)
    table, tally = caption_table(samples, captioners, ["en", "zh"], "a photo")
    assert (tally.uncaptioned_images, tally.nameless_images) == (0, 2)
    named = [row for row in table.to_pylist() if row["maker"] == NAMELESS]
    assert [(row["sample_id"], row["kind"], row["language"], row["text"]) for row in named] == [
        ("1", "short", "en", "a photo"),
        ("2", "short", "en", "a photo"),
    ]
    assert table.slice(0, without.num_rows).equals(without)
    assert {row["text"] for row in table.to_pylist() if row["sample_id"] == "2"} > {"a photo"}, "and its own words"
