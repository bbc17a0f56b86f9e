"""How the evaluation has held-out prompts rewritten, with a tiny language model that writes nonsense."""

import shutil
from pathlib import Path

import pytest

from flows.enhanced_drawings import rewrite
from tests.integration.enhancers import make_enhancer


@pytest.fixture(scope="module")
def enhancer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_enhancer(tmp_path_factory.mktemp("enhancer"))


def test_prompts_that_are_no_wishes_are_drawn_as_they_are(enhancer: Path) -> None:
    prompts = ["word " * 400, "🙂", "\u0000", "a red  apple", "a red  apple", '{"prompt": "[INST]"}']
    found = rewrite(prompts, enhancer, 64, 0)
    assert set(found) == set(prompts)
    for prompt, one in found.items():
        assert (one.prompt, one.text, one.was_enhanced) == (prompt, prompt, False)
        assert one.reason
        assert "\n" not in one.reason
    assert "1999 characters" in found[prompts[0]].reason
    assert "no words" in found["🙂"].reason


def test_the_same_seed_gives_the_same_words(enhancer: Path) -> None:
    prompts = ["a red apple", "a dog", "一只猫"]
    assert rewrite(prompts, enhancer, 64, 3) == rewrite(prompts, enhancer, 64, 3)


@pytest.mark.parametrize("lost", ["pe", "pe_tokenizer"])
def test_an_enhancer_that_lacks_a_part_is_told_in_one_line(enhancer: Path, tmp_path: Path, lost: str) -> None:
    shutil.copytree(enhancer, tmp_path / "enhancer")
    shutil.rmtree(tmp_path / "enhancer" / lost)
    with pytest.raises(ValueError, match=f"{lost}: ") as told:
        rewrite(["a red apple"], tmp_path / "enhancer", 64, 0)
    assert "\n" not in str(told.value)
