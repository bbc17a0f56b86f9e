"""The readers on files in the published layouts, and on what can be wrong with them: one line with file and row."""

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import kendalltau, pearsonr, spearmanr

from components.data.errors import DataError
from components.evaluation.benchmarks import eria, geneval, longtext, oneig

GENEVAL = [
    {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"},
    {
        "tag": "counting",
        "include": [{"class": "clock", "count": 2}],
        "exclude": [{"class": "clock", "count": 3}],
        "prompt": "a photo of two clocks",
    },
]
LONGTEXT = [
    {"prompt_id": 0, "category": "sign", "length": "short", "text": ["Open", "nine to five"], "prompt": "A sign."},
    {"prompt_id": 7, "category": "poster", "length": "long", "text": ["Summer sale"], "prompt": "A poster."},
]
ONEIG = [
    {"category": "Anime_Stylization", "id": "000", "prompt_en": "a girl", "type": "NP", "prompt_length": "short"},
    {"category": "Text_Rendering", "id": "000", "prompt_en": 'a sign "Hello"', "type": "T", "prompt_length": "short"},
    {"category": "Text_Rendering", "id": "001", "prompt_en": 'a sign "Bye"', "type": "T", "prompt_length": "short"},
]


def jsonl(file: Path, rows: Sequence[object]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def table(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def eria_folder(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    (folder / "test").mkdir(parents=True)
    for name in ("000001.jpg", "000002.jpg"):
        Image.fromarray(np.full((9, 12, 3), 120, np.uint8)).save(folder / "test" / name)
    (folder / "test" / "test.json").write_text(json.dumps(rows))
    return folder


def rated(folder: Path, rows: Sequence[dict[str, Any]]) -> object:
    return eria.read(eria.find(eria_folder(folder / "eria", rows)))


def test_geneval_is_numbered_by_its_lines_and_keeps_each_row_for_the_scorer(tmp_path: Path) -> None:
    suite = geneval.read(jsonl(tmp_path / "evaluation_metadata.jsonl", GENEVAL))
    assert [(case.key, case.group) for case in suite.cases] == [("00000", "single_object"), ("00001", "counting")]
    assert [json.loads(case.note) for case in suite.cases] == GENEVAL
    pictures = suite.pictures("m", 42)
    assert [picture.file for picture in pictures[4:]] == [f"00001/samples/{n:05}.png" for n in range(4)]
    assert [picture.seeds for picture in pictures] == [[42], [43], [44], [45]] * 2
    assert {picture.note_file for picture in pictures} == {"00000/metadata.jsonl", "00001/metadata.jsonl"}
    assert not suite.is_whole


def test_longtext_is_named_by_prompt_and_repeat_and_knows_its_language(tmp_path: Path) -> None:
    suite = longtext.read(jsonl(tmp_path / "text_prompts.jsonl", LONGTEXT))
    assert (suite.name, suite.language) == ("longtext_en", "en")
    assert [case.text for case in suite.cases] == ["Open nine to five", "Summer sale"]
    assert [picture.file for picture in suite.pictures("m", 0)][3:5] == ["0000_4.png", "0007_1.png"]
    chinese = [LONGTEXT[0] | {"text": ["今日营业"]}]
    assert longtext.read(jsonl(tmp_path / "text_prompts_zh.jsonl", chinese)).name == "longtext_zh"


def test_oneig_is_a_grid_in_the_folder_of_category_and_model(tmp_path: Path) -> None:
    table(tmp_path / "scripts" / "text" / "text_content.csv", [{"id": "000", "text_content": "Hello"}])
    suite = oneig.read(table(tmp_path / "OneIG-Bench.csv", ONEIG))
    assert [(case.key, case.text) for case in suite.cases] == [
        ("anime/000", ""),
        ("text/000", "Hello"),
        ("text/001", ""),
    ]
    assert [picture.file for picture in suite.pictures("turbo", 0)][:2] == [
        "anime/turbo/000.webp",
        "text/turbo/000.webp",
    ]
    assert suite.pictures("turbo", 5)[0].seeds == [5, 6, 7, 8]


def test_oneig_in_chinese_is_another_benchmark_and_json_will_do(tmp_path: Path) -> None:
    file = tmp_path / "OneIG-Bench-ZH.json"
    file.write_text(json.dumps([{"category": "Multilingualism", "id": "000", "prompt_cn": "一只猫"}]))
    suite = oneig.read(file)
    assert (suite.name, suite.language, suite.num_published) == ("oneig_zh", "zh", 1320)
    assert "text_content_zh.csv" in {one.metric: one.needs for one in suite.unscored}["text"]


def test_of_two_columns_of_prompts_the_files_name_decides(tmp_path: Path) -> None:
    both = [row | {"prompt_cn": "一只猫"} for row in ONEIG]
    assert oneig.read(table(tmp_path / "OneIG-Bench.csv", both)).language == "en"
    assert oneig.read(table(tmp_path / "OneIG-Bench-ZH.csv", both)).cases[0].prompt == "一只猫"


def test_eria_may_keep_its_images_in_a_folder_of_their_own(tmp_path: Path) -> None:
    folder = eria_folder(tmp_path / "eria", [{"image": "000001.jpg", "score": 3}])
    (folder / "test" / "000001.jpg").rename(folder / "moved.jpg")
    (folder / "test" / "images").mkdir()
    (folder / "moved.jpg").rename(folder / "test" / "images" / "000001.jpg")
    assert eria.read(eria.find(folder))[0].file == folder / "test" / "images" / "000001.jpg"


def test_eria_is_found_by_folder_or_file(tmp_path: Path) -> None:
    rows = [{"image": "000001.jpg", "score": 3, "category": "film"}, {"image": "000002.jpg", "score": "9.5"}]
    folder = eria_folder(tmp_path / "eria", rows)
    for place in (folder, folder / "test", folder / "test" / "test.json"):
        assert [(one.file.name, one.tier, one.category) for one in eria.read(eria.find(place))] == [
            ("000001.jpg", 3.0, "film"),
            ("000002.jpg", 9.5, ""),
        ]
    assert eria.decoded(eria.read(eria.find(folder))[0], 6).shape[1] == 6


def test_how_far_scores_follow_tiers_is_told_by_category_where_there_is_an_order(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rated_images = [eria.Rated(tmp_path, float(tier), name, "") for name in "ab" for tier in range(1, 11)]
    rated_images += [eria.Rated(tmp_path, 5.0, "all alike", "")] * 3
    tiers = np.array([one.tier for one in rated_images])
    scores = tiers + draw.normal(0, 2, len(tiers))
    found = {(one.metric, one.group): one for one in eria.follows(scores, rated_images, "m", 0)}
    assert {group for _, group in found} == {"", "a", "b"}
    assert found["srcc", ""].value == pytest.approx(spearmanr(scores, tiers).statistic)
    assert found["plcc", "b"].value == pytest.approx(pearsonr(scores[10:20], tiers[10:20]).statistic)
    assert found["krcc", ""].value == pytest.approx(kendalltau(scores, tiers).statistic)
    assert all(one.low <= one.value <= one.high for one in found.values())
    assert [metric for metric in ("srcc", "plcc", "krcc") if found[metric, ""].is_official] == ["srcc", "plcc"]


def test_black_and_white_is_seen_after_a_jpeg_too(tmp_path: Path) -> None:
    grey = np.repeat(np.random.default_rng(0).integers(0, 256, (32, 32, 1), dtype=np.uint8), 3, axis=2)
    Image.fromarray(grey).save(tmp_path / "grey.jpg")
    with Image.open(tmp_path / "grey.jpg") as image:
        assert eria.is_grey(np.asarray(image))
    assert not eria.is_grey(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))


def test_a_limit_takes_turns_among_the_groups_and_keeps_keys(tmp_path: Path) -> None:
    many = [ONEIG[0] | {"id": f"{n:03}"} for n in range(5)] + ONEIG[1:]
    suite = oneig.read(table(tmp_path / "OneIG-Bench.csv", many))
    assert [case.key for case in suite.first(3).cases] == ["anime/000", "anime/001", "text/000"]
    assert len(suite.first(99).cases) == 7


WRONG: list[tuple[str, Callable[[Path], object], str]] = [
    (
        "a field is missing",
        lambda d: geneval.read(jsonl(d / "g.jsonl", [GENEVAL[0], {"tag": "colors", "prompt": "x"}])),
        "g.jsonl, line 2: 'include' is missing",
    ),
    ("an unknown task", lambda d: geneval.read(jsonl(d / "g.jsonl", [GENEVAL[0] | {"tag": "t"}])), "line 1: 'tag'"),
    ("a prompt twice", lambda d: geneval.read(jsonl(d / "g.jsonl", [GENEVAL[0]] * 2)), "line 2: the prompt"),
    ("no row", lambda d: geneval.read(jsonl(d / "g.jsonl", [])), "g.jsonl: no rows"),
    ("no object", lambda d: geneval.read(jsonl(d / "g.jsonl", [[1]])), "line 1: [1]"),
    ("no class", lambda d: geneval.read(jsonl(d / "g.jsonl", [GENEVAL[0] | {"include": [{}]}])), "'include' is [{}]"),
    ("an id twice", lambda d: longtext.read(jsonl(d / "t.jsonl", [LONGTEXT[0]] * 2)), "line 2: prompt_id '0000'"),
    (
        "an id of words",
        lambda d: longtext.read(jsonl(d / "t.jsonl", [LONGTEXT[0] | {"prompt_id": "a"}])),
        "'prompt_id'",
    ),
    ("no text", lambda d: longtext.read(jsonl(d / "t.jsonl", [LONGTEXT[0] | {"text": []}])), "line 1: 'text' is []"),
    ("a broken half", lambda d: longtext.read(jsonl(d / "t.jsonl", [LONGTEXT[0] | {"prompt": "\ud800"}])), "'prompt'"),
    ("an id twice in a category", lambda d: oneig.read(table(d / "o.csv", [ONEIG[0]] * 2)), "line 3: id 'anime/000'"),
    ("a name that leads away", lambda d: oneig.read(table(d / "o.csv", [ONEIG[0] | {"id": "../x"}])), "line 2: 'id'"),
    (
        "a category of its own",
        lambda d: oneig.read(table(d / "o.csv", [ONEIG[0] | {"category": "Cars"}])),
        "line 2: 'category' is 'Cars'",
    ),
    ("no prompt", lambda d: oneig.read(table(d / "o.csv", [ONEIG[0] | {"prompt_en": " "}])), "'prompt_en'"),
    (
        "an image missing",
        lambda d: rated(d, [{"image": "9.jpg", "score": 3}]),
        "9.jpg is missing",
    ),
    (
        "a tier too high",
        lambda d: rated(d, [{"image": "000001.jpg", "score": 11}]),
        "from 1 to 10",
    ),
    ("no tier", lambda d: rated(d, [{"image": "000001.jpg"}]), "entry 0: 'tier' is missing"),
    (
        "an image elsewhere",
        lambda d: rated(d, [{"image": "../../x", "tier": 1}]),
        "lies outside",
    ),
    (
        "an image twice",
        lambda d: rated(d, [{"image": "000001.jpg", "tier": 1}] * 2),
        "entry 1: the image '000001.jpg'",
    ),
    ("no such folder", lambda d: eria.find(d / "none"), "no test.json in it"),
    ("no such file", lambda d: geneval.read(d / "none.jsonl"), "No such file"),
    ("a folder", lambda d: geneval.read(d), "Is a directory"),
]


@pytest.mark.parametrize(("read", "line"), [pytest.param(read, line, id=name) for name, read, line in WRONG])
def test_what_is_wrong_is_said_in_one_line(read: Callable[[Path], object], line: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(line)) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_damaged_image_and_a_damaged_line_are_named(tmp_path: Path) -> None:
    folder = eria_folder(tmp_path / "eria", [{"image": "000001.jpg", "tier": 4}])
    (folder / "test" / "000001.jpg").write_bytes(b"\xff\xd8\xff damaged")
    with pytest.raises(DataError, match=r"test\.json, entry 0: .*000001\.jpg cannot be read"):
        eria.decoded(eria.read(eria.find(folder))[0], 64)
    (tmp_path / "g.jsonl").write_text(json.dumps(GENEVAL[0]) + "\n{'tag'\n")
    with pytest.raises(DataError, match=r"g\.jsonl, line 2: not readable as JSON"):
        geneval.read(tmp_path / "g.jsonl")
    (tmp_path / "o.csv").write_text("category,id,prompt_en\nPortrait,000\n")
    with pytest.raises(DataError, match=r"o\.csv, line 2: not as many fields"):
        oneig.read(tmp_path / "o.csv")
