"""What is printed of the data: strangers' words never steer the terminal, nothing is cut, and changes add up."""

import pytest

from components.data.report.diff import Change, Difference
from flows import data_views


def test_a_long_word_is_broken_and_not_cut(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(data_views.out, "_file", None)  # what `file` gives is this test's own stream
    known = {"sample_id": "ab", "fate": "kept", "captions": [{"kind": "short", "text": "x" * 700}], "ocr": []}
    data_views.show_sample(known)
    printed = capsys.readouterr().out
    assert printed.count("x") == 700
    assert "ocr" not in printed


def test_a_difference_is_told_by_group(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(data_views.out, "_file", None)  # what `file` gives is this test's own stream
    changes = (Change("selected by licence", "MIT", 3, 5, 4, 2), Change("dropped", "filter: flat", 1, 0))
    data_views.show_difference(Difference("HEAD", "workspace", 4, 2, 0, changes))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "From HEAD to workspace: 4 images in, 2 out, 0 regrouped" in lines
    assert "MIT 3 5 +2 4 2" in lines
    assert "filter: flat 1 0 -1" in lines


def test_no_difference_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(data_views.out, "_file", None)  # what `file` gives is this test's own stream
    data_views.show_difference(Difference("a", "b", 0, 0, 0, ()))
    assert capsys.readouterr().out == "a and b hold the same.\n"
