"""The language model: packed texts do not see each other, and what is saved, loaded and merged is the same."""

import pytest
import torch
from peft.tuners.lora import LoraLayer

from components.models.config import LoraShape
from components.models.language_config import LanguageShape
from components.models.language_model import (
    FILLING,
    SHARED,
    LanguageModel,
    TokenRows,
    add_adapters,
    build_language_model,
    directory_sha256,
    load_language_model,
    network_like,
    save_language_model,
    sees,
)

SHAPE = LanguageShape(50, 32, 2, 2, 1, 16, 48, 10_000.0, 64, 0.2)
SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}


@pytest.fixture
def network():
    return build_language_model(SHAPE, 0, special=SPECIAL).eval()


def row(*lengths: int, shared: int = 4, filling: int = 3) -> TokenRows:
    """One row of random texts after a shared one; every token of a text is to be said."""
    generator = torch.Generator().manual_seed(sum(lengths))
    texts = [SHARED] * shared + [n for n, length in enumerate(lengths, 1) for _ in range(length)] + [FILLING] * filling
    positions = [*range(shared), *(shared + at for length in lengths for at in range(length)), *range(filling)]
    tokens = torch.randint(4, 50, (1, len(texts)), generator=generator)
    return TokenRows(
        tokens, torch.tensor([positions]), torch.tensor([texts]), torch.tensor([[text > 0 for text in texts]])
    )


def test_the_same_seed_makes_the_same_weights(network):
    other = build_language_model(SHAPE, 0, special=SPECIAL)
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), other.parameters(), strict=True))
    different = build_language_model(SHAPE, 1, special=SPECIAL).model.embed_tokens.weight
    assert not torch.equal(network.model.embed_tokens.weight, different)


def test_weights_are_as_many_as_the_shape_says(network):
    attention = 32 * 2 * 16 + 2 * 32 * 1 * 16 + 2 * 16 * 32
    assert (
        sum(weight.numel() for weight in network.parameters()) == 50 * 32 + 2 * (attention + 3 * 32 * 48 + 2 * 32) + 32
    )


def test_a_token_sees_its_own_text_and_the_shared_one():
    found = sees(torch.tensor([[SHARED, 1, 1, 2, FILLING]]))[0, 0].int().tolist()
    assert found == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 1, 0], [1, 0, 0, 0, 1]]


def test_a_packed_text_gets_the_logits_it_gets_alone(network):
    packed = row(6, 9, 5)
    together = LanguageModel(network)(packed)
    start = 0
    for text, length in enumerate((6, 9, 5), start=1):
        own = (packed.texts[0] == SHARED) | (packed.texts[0] == text)
        alone = network(packed.tokens[:, own]).logits[0, 3:-1]
        # The first token of a text follows what stands before it in the row: no more than the shared text's last.
        torch.testing.assert_close(together[start + 1 : start + length], alone[1:], rtol=1e-5, atol=1e-5)
        start += length


def test_rotary_positions_are_plain(network):
    """The release's kind with the factor 1 is rotation by position over base ** (2 i / d), without any scale."""
    rotary = network.model.rotary_emb
    torch.testing.assert_close(rotary.inv_freq, 10_000.0 ** (-torch.arange(0, 16, 2) / 16))
    assert rotary.attention_scaling == 1.0


def test_saved_and_loaded_it_says_the_same(network, tmp_path):
    save_language_model(network, tmp_path)
    loaded = load_language_model(tmp_path)
    tokens = torch.arange(4, 30)[None]
    assert torch.equal(loaded(tokens).logits, network(tokens).logits)
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    assert {file.name for file in tmp_path.iterdir()} == {"config.json", "generation_config.json", "model.safetensors"}
    with pytest.raises(ValueError, match=r"no config.json"):
        load_language_model(tmp_path / "nowhere")


def test_a_folder_is_known_by_its_content(network, tmp_path):
    save_language_model(network, tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    before = directory_sha256(tmp_path)
    assert directory_sha256(tmp_path) == before
    (tmp_path / "tokenizer.json").write_text("{ }")
    assert directory_sha256(tmp_path) != before
    with pytest.raises(ValueError, match="no language model"):
        directory_sha256(tmp_path / "nowhere")


def test_another_network_with_its_weights_says_the_same(network):
    weights = {name: weight.detach() for name, weight in LanguageModel(network).named_parameters()}
    tokens = torch.arange(4, 30)[None]
    assert torch.equal(network_like(network, weights, None)(tokens).logits, network(tokens).logits)


def test_adapters_begin_as_nothing_and_are_merged_into_what_they_changed(network):
    tokens = torch.arange(4, 30)[None]
    before = network(tokens).logits.detach()
    lora = LoraShape(2, 4, ("q_proj", "down_proj"))
    add_adapters(network, lora)
    assert torch.equal(network(tokens).logits, before)
    model = LanguageModel(network)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert len(trained) == 2 * 2 * 2
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in trained:
                weight.normal_(generator=torch.Generator().manual_seed(1)).mul_(0.3)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    merged = network_like(network, weights, lora)
    assert not any(isinstance(module, LoraLayer) for module in merged.modules())
    after = network(tokens).logits.detach()
    assert float((after - before).abs().max()) > 0.1
    torch.testing.assert_close(merged(tokens).logits, after, rtol=1e-4, atol=1e-4)


def test_activations_that_are_computed_again_change_nothing(network):
    packed = row(6, 9)
    model = LanguageModel(network).train()
    grads = []
    for again in (False, True):
        if again:
            model.checkpoint_activations()
        model.zero_grad()
        model(packed).square().mean().backward()
        grads.append([weight.grad.clone() for weight in model.parameters()])
    assert all(torch.equal(one, two) for one, two in zip(*grads, strict=True))


def test_a_shape_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="multiple of num_key_value_heads"):
        LanguageShape(50, 32, 2, 3, 2, 16, 48, 10_000.0, 64, 0.2)
