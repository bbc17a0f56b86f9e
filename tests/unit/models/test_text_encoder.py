"""Token states against diffusers' own `encode_prompt` and against being alone."""

import pytest
import torch
from diffusers import ErnieImagePipeline

from components.models.text_encoder import TEXT_DIM, TextEncoder, check_text_encoder, load_text_model

PROMPTS = [
    "",
    "a red apple, Fluent 3D style",
    "a cat",
    "a dog",
    "some more words, to have another length",
    "苹果",
]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.load()


@pytest.fixture(scope="module")
def by_the_pipeline() -> list[torch.Tensor]:
    tokenizer, model = load_text_model()

    class Parts:
        text_encoder = model

    Parts.tokenizer = tokenizer
    return ErnieImagePipeline.encode_prompt(Parts, PROMPTS, torch.device("cpu"))


def test_states_are_those_of_the_pipeline(encoder, by_the_pipeline):
    for ours, theirs in zip(encoder(PROMPTS), by_the_pipeline, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_text_does_not_depend_on_its_company(encoder):
    together = encoder(PROMPTS)
    for prompt, states in zip(PROMPTS, together, strict=True):
        torch.testing.assert_close(encoder([prompt])[0], states, rtol=1e-4, atol=1e-5)


def test_the_empty_prompt_is_the_two_special_tokens(encoder):
    (empty,) = encoder([""])
    assert empty.shape == (2, TEXT_DIM)
    assert float(empty.norm()) > 1


def test_order_of_prompts_is_order_of_states(encoder):
    for one, other in zip(encoder(PROMPTS[::-1]), encoder(PROMPTS)[::-1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_very_long_text_is_cut(encoder):
    (states,) = encoder(["word " * 2000])
    assert states.shape == (512, TEXT_DIM)


def test_a_text_encoder_without_weights_is_refused_before_any_work():
    check_text_encoder("minilm")
    with pytest.raises(ValueError, match="only 'minilm' comes with weights"):
        check_text_encoder("ministral3")
