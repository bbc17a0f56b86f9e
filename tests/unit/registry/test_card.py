import re
from dataclasses import replace

import pytest
import yaml

from components.models.training_record import Drift, StatedSampling
from components.registry.card import Card, Effect, Enhancer, Pairs, Score, TrainingSource, Win, escaped, render

HOSTILE = "<script>alert(1)</script> | [x](javascript:alert(1)) `a`\n# heading"


def card() -> Card:
    return Card(
        title="easel tiny",
        resolution_px=64,
        num_parameters=2_350_000,
        images_seen=123_456,
        shift=3.0,
        scores=[
            Score("style accuracy", 0.62345, 0.58, 0.66, 1 / 6, 0.97),
            Score("Lite0 Fréchet distance", 41.2, None, None, None, 3.1),
        ],
        wins=[Win("dpo", "sft", 0.584, 0.51, 0.66)],
        pairs=Pairs(1_234, 0, ["weighted", HOSTILE]),
        sources=[TrainingSource(HOSTILE, 12, "CC-BY-4.0", HOSTILE)],
        prompts=["a 'red' apple"],
    )


def test_the_front_matter_is_yaml_that_names_licence_library_and_metrics() -> None:
    _, front, _ = render(card()).split("---\n", 2)
    fields = yaml.safe_load(front)
    assert fields["license"] == "apache-2.0"
    assert fields["library_name"] == "diffusers"
    (result,) = fields["model-index"][0]["results"]
    assert [metric["value"] for metric in result["metrics"]] == [0.6234, 41.2]


def test_scores_stand_beside_chance_and_real_images() -> None:
    assert "| style accuracy | 0.623 | 0.58 – 0.66 | 0.167 | 0.97 |" in render(card())
    assert "| Lite0 Fréchet distance | 41.2 | – | – | 3.1 |" in render(card())


@pytest.mark.parametrize(("num_human", "says"), [(0, "no person chose"), (1_000, "in 1,000 of them a person chose")])
def test_the_card_says_who_preferred_what(num_human: int, says: str) -> None:
    text = render(replace(card(), pairs=Pairs(1_234, num_human, ["weighted", "people"])))
    assert f"DPO had 1,234 pairs, judged by weighted, people; {says}." in text
    assert "| dpo over sft | 0.584 | 0.51 – 0.66 |" in text
    assert "saw 123,456 pairs of images at 64 px" in text


def test_a_model_without_preferences_has_no_section_of_them() -> None:
    text = render(replace(card(), pairs=None, wins=[]))
    assert "## Preferences" not in text
    assert "saw 123,456 images at 64 px" in text


def test_a_distilled_model_is_used_as_it_was_trained_and_shows_what_it_kept() -> None:
    drift = [Drift("poster", "alignment", 0.19, 0.2, 0.95), Drift(HOSTILE, "diversity", 1.0, 1.25, 0.8)]
    text = render(replace(card(), few_steps=StatedSampling(8, 1.0), teachers=["general", HOSTILE], drift=drift))
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    compile(snippet, "card", "exec")
    assert "    num_inference_steps=8,\n    guidance_scale=1.0,\n" in snippet
    assert "distilled to 8 steps by matching distributions taught by general, &lt;script&gt;" in text
    assert "saw 123,456 prompts at 64 px" in text
    assert "in exactly 8 Euler steps without guidance" in text
    assert "| poster | alignment | 0.19 | 0.2 | 0.95 |" in text
    assert "<script" not in text
    assert "\n# heading" not in text


def test_a_model_with_an_enhancer_tells_what_it_does_and_how_to_draw_without_it() -> None:
    effect = Effect("style accuracy", 0.5, 0.469, -0.031, -0.07, -0.01, "worse")
    enhancer = Enhancer(1_234_567, {"intent_kept": 0.97, HOSTILE: 1.0}, [effect], HOSTILE, f"{HOSTILE} on white")
    text = render(replace(card(), enhancer=enhancer))
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    compile(snippet, "card", "exec")
    assert "    use_pe=False," in snippet
    assert "a language model of 1.23 M parameters" in text
    assert "| intent kept | 0.97 |" in text
    assert "| style accuracy | 0.5 | 0.469 | -0.031 (-0.07 – -0.01) | worse |" in text
    assert "<script" not in text
    assert "\n# heading" not in text
    assert "[x]" not in text.split("## Prompt enhancer")[1].split("## Scores")[0].replace("\\[x\\]", "")


def test_an_enhancer_that_nobody_measured_has_no_tables() -> None:
    text = render(replace(card(), enhancer=Enhancer(1_000_000, {}, [], "a dog", "a dog on white")))
    section = text.split("## Prompt enhancer")[1].split("## Scores")[0]
    assert "Asked for *a dog*, stock diffusers drew: *a dog on white*" in section
    assert "|" not in section


def test_any_other_model_says_nothing_of_drift() -> None:
    text = render(card())
    assert "    num_inference_steps=20,\n    guidance_scale=4.0,\n" in text
    assert "## Drift" not in text
    assert "sampling.json" not in text
    assert "use_pe" not in text


def test_other_peoples_text_stays_text() -> None:
    text = render(card())
    assert "<script" not in text
    assert "\n# heading" not in text
    row = next(line for line in text.splitlines() if "CC-BY-4.0" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    assert "[x]" not in row


def test_escaping_leaves_plain_words_alone() -> None:
    assert escaped("Noto Emoji, Google") == "Noto Emoji, Google"
