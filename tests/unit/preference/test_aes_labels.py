"""Readers of labels on files in their published layouts; each fault is one line with file and row."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.data.config import DecodeLimits
from components.preference.aes_labels import Labels, Won, read_labels

LIMITS = DecodeLimits(10_000_000, 10_000_000, 1000.0)


def image(file: Path, grey: int) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), grey, np.uint8)).save(file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_csv(folder: Path, text: str) -> Path:
    for number in range(3):
        image(folder / "pictures" / f"{number}.png", 60 * number)
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return folder / "labels.csv"


def write_ava(folder: Path, *lines: str) -> Path:
    for number in (953619, 953958):
        image(folder / "images" / f"{number}.jpg", 90)
    (folder / "AVA.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder / "AVA.txt"


def write_tournament(folder: Path, votes: dict[str, list[tuple[int, int, str]]], num_images: int = 4) -> list[str]:
    names = [image(folder / "images" / f"{number}.png", 50 * number) for number in range(num_images)]
    for annotator, chosen in votes.items():
        rows = [
            {
                "vote_id": f"{annotator}/{number}", "tournament": "t", "round": number, "number": 0,
                "is_repeat": False, "prompt": "which?", "image_a": names[a], "image_b": names[b], "choice": choice,
                "annotator": annotator, "time": float(number), "versions": {"easel": "0"},
            }
            for number, (a, b, choice) in enumerate(chosen)
        ]  # fmt: skip
        (folder / annotator).mkdir()
        (folder / annotator / "votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return names


def test_a_csv_of_scores_or_tiers(tmp_path):
    file = write_csv(
        tmp_path,
        "image,score,tier,category,group\npictures/0.png,12.5,,food,\npictures/1.png,,10,,snapshots\n"
        "pictures/2.png,,4,animals,ai_made\n",
    )
    found = read_labels(file, "csv", LIMITS)
    assert [(one.score, one.category, one.group) for one in found.images] == [
        (12.5, "food", ""),
        (100.0, "", "snapshots"),
        (pytest.approx(100 / 3), "animals", "ai_made"),
    ]
    assert found.images[2].file == tmp_path / "pictures" / "2.png"
    assert found.won == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image,mark\npictures/0.png,3\n", r"columns are image, mark; needed: image, and score or tier"),
        ("", "columns are none"),
        ("image,score\npictures/0.png,3\npictures/0.png,4\n", r"line 3: pictures/0.png is there already.*line 2"),
        ("image,score\npictures/0.png,3\npictures/9.png,4\n", r"line 3: there is no image 'pictures/9.png'"),
        ("image,score\npictures/0.png,101\n", r"line 2: score is '101'; allowed: a number from 0 to 100"),
        ("image,score\npictures/0.png,nan\n", "line 2: score is 'nan'"),
        ("image,tier\npictures/0.png,0\n", "line 2: tier is '0'; allowed: a number from 1 to 10"),
        ("image,tier\npictures/0.png,\n", "line 2: tier is ''"),
        ("image,score\npictures/0.png\n", "line 2: not as many fields"),
        ("image,score\n../secret.png,3\n", "line 2: an image is called '../secret.png'; allowed: a path below"),
        ("image,score\n,3\n", "line 2: an image is called ''"),
        ("image,score,group\npictures/0.png,3,nice\n", "line 2: group 'nice'; allowed: black_and_white"),
        ("image,score\npictures/0.png,3\npictures/1.png,3\n", "2 images, all with one score"),
    ],
)
def test_a_bad_csv_is_refused_in_one_line(tmp_path, text, told):
    with pytest.raises(ValueError, match=told) as caught:
        read_labels(write_csv(tmp_path, text), "csv", LIMITS)
    assert "\n" not in str(caught.value)


def test_ava_s_votes_are_means(tmp_path):
    file = write_ava(
        tmp_path,
        "1 953619 0 1 5 17 38 36 15 6 5 1 1 22 1396",
        "2 953958 10 7 15 26 26 21 10 8 1 2 0 21 1396",
    )
    found = read_labels(file, "ava", LIMITS)
    told = [np.repeat(np.arange(1, 11), votes).mean() for votes in (
        (0, 1, 5, 17, 38, 36, 15, 6, 5, 1), (10, 7, 15, 26, 26, 21, 10, 8, 1, 2),
    )]  # fmt: skip
    np.testing.assert_allclose([one.score for one in found.images], [100 * (mean - 1) / 9 for mean in told])
    assert [one.category for one in found.images] == ["tag 1", ""]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1 953619 0 1 5", r"AVA.txt, line 1: 5 fields; allowed: 15 whole numbers"),
        ("1 953619 0 1 5 17 38 36 15 6 5 x 1 22 1396", "allowed: 15 whole numbers"),
        ("1 953619 0 0 0 0 0 0 0 0 0 0 1 22 1396", "image 953619 has no votes"),
        ("1 77 0 1 5 17 38 36 15 6 5 1 1 22 1396", "there is no image '77.jpg'"),
    ],
)
def test_a_bad_line_of_ava_is_refused(tmp_path, line, told):
    with pytest.raises(ValueError, match=told):
        read_labels(write_ava(tmp_path, line), "ava", LIMITS)


def test_a_tournament_gives_tiers_and_comparisons(tmp_path):
    """Two annotators who agree: the third image beats all, the first loses to all."""
    votes = [(0, 1, "b"), (2, 3, "a"), (1, 3, "b"), (0, 2, "b"), (1, 2, "b"), (0, 3, "b")]
    names = write_tournament(tmp_path, {"p7": votes, "p8": votes})
    found = read_labels(tmp_path, "tournament", LIMITS)
    score = {one.name: one.score for one in found.images}
    assert sorted(names, key=score.__getitem__) == [names[0], names[1], names[3], names[2]]
    assert all(0 <= value <= 100 for value in score.values())
    assert len(found.won) == 12
    assert Won(names[0], names[1], 0.0) in found.won
    assert "by annotators: 2" in found.description


def test_a_tournament_whose_images_are_gone_is_refused(tmp_path):
    names = write_tournament(tmp_path, {"p7": [(0, 1, "a"), (2, 3, "b")]})
    (tmp_path / "images" / "0.png").unlink()
    with pytest.raises(ValueError, match=f"p7: votes on image {names[0]}, which is not in"):
        read_labels(tmp_path, "tournament", LIMITS)


def test_a_tournament_without_votes_is_refused(tmp_path):
    write_tournament(tmp_path, {})
    with pytest.raises(ValueError, match="bring what `easel annotate` left"):
        read_labels(tmp_path, "tournament", LIMITS)


def test_eria_is_no_kind_of_labels(tmp_path):
    with pytest.raises(ValueError, match="'eria'; allowed: csv, ava, tournament"):
        read_labels(tmp_path, "eria", LIMITS)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    for kind in ("csv", "ava"):
        with pytest.raises(ValueError, match="not readable"):
            read_labels(tmp_path / "none.txt", kind, LIMITS)
    assert Labels([], [], "").won == []
