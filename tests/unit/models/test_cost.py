"""Counts by formula equal what the modules hold and what torch's own counter sees."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertModel, MistralConfig, MistralModel

from components.models import cost
from components.models.autoencoder import build_autoencoder, encode_moments
from components.models.config import (
    AUTOENCODERS,
    TEXT_ENCODERS,
    AutoencoderConfig,
    DiTConfig,
    LoraShape,
    TextEncoderConfig,
)
from components.models.denoiser import Denoiser, TextCondition
from components.models.lora import add_lora
from components.models.transformer import build_transformer

ROOT = Path(__file__).resolve().parents[3]
RELEASED = DiTConfig(4096, 36, 32, 12288, (32, 48, 48), 256)
SHAPES = [
    (DiTConfig(24, 1, 2, 48, (4, 4, 4), 256), 8, 10),
    (DiTConfig(24, 3, 2, 64, (4, 4, 4), 256), 8, 24),
    (RELEASED, 128, 3072),
]


def on_meta(build, *arguments):
    with torch.device("meta"):
        return build(*arguments)


def count(module):
    return sum(weight.numel() for weight in module.parameters())


@pytest.mark.parametrize("shape", SHAPES, ids=["one layer", "text as wide as the rest", "ERNIE-Image"])
def test_the_parts_of_the_transformer_are_those_of_the_module(shape):
    module, parts = on_meta(build_transformer, *shape), cost.parameters_by_part(*shape)
    assert parts["blocks"] == count(module.layers)
    assert parts["time"] == count(module.time_embedding) + count(module.adaLN_modulation)
    assert parts["output"] == count(module.final_norm) + count(module.final_linear)
    assert cost.parameter_count(*shape) == count(module)


@pytest.mark.parametrize("shape", SHAPES, ids=["one layer", "text as wide as the rest", "ERNIE-Image"])
@pytest.mark.parametrize(
    "layers",
    [
        ("to_q", "to_k", "to_v", "to_out.0"),
        ("gate_proj", "linear_fc2"),
        ("self_attention.to_q", "proj", "linear_1"),
        ("layers.0.mlp.up_proj", "final_linear", "adaLN_modulation.1", "text_proj", "final_norm.linear"),
    ],
)
def test_the_adapters_have_as_many_weights_as_those_of_the_module(shape, layers):
    module, lora = on_meta(build_transformer, *shape), LoraShape(3, 6, layers)
    with torch.device("meta"):
        add_lora(module, lora)
    assert cost.lora_parameters(*shape, lora) == count(module) - cost.parameter_count(*shape) > 0


def test_the_released_model_has_eight_billion_parameters():
    assert cost.parameter_count(RELEASED, 128, 3072) == 8_033_490_048


@pytest.mark.parametrize("config", [*AUTOENCODERS.values(), AutoencoderConfig(2, (4, 8, 8, 16), 3, 2)])
def test_the_autoencoder_has_as_many_weights_as_the_module(config):
    assert cost.autoencoder_parameters(config) == count(on_meta(build_autoencoder, config))


def test_the_embedded_autoencoder_is_the_one_that_comes_with_the_data():
    file = ROOT / "data" / "autoencoder" / "config.json"
    if not file.is_file():
        pytest.skip("data/ is not checked out")
    found, config = json.loads(file.read_text()), AUTOENCODERS["embedded"]
    assert found["latent_channels"] == config.latent_channels
    assert tuple(found["block_out_channels"]) == config.block_out_channels
    assert found["layers_per_block"] == config.layers_per_block


def test_encoding_an_image_costs_what_torch_counts():
    config = AutoencoderConfig(2, (4, 8, 8, 16), 2, 2)
    autoencoder = on_meta(build_autoencoder, config)
    with FlopCounterMode(display=False) as counter:
        encode_moments(autoencoder, torch.zeros(1, 3, 48, 32, device="meta"))
    assert cost.encode_flops(config, 48 * 32) == pytest.approx(counter.get_total_flops(), rel=1e-6)


def build_text_encoder(config: TextEncoderConfig):
    same = {"hidden_size": config.hidden_size, "vocab_size": config.vocab_size}
    layers = {"num_hidden_layers": config.num_layers, "num_attention_heads": config.num_attention_heads}
    if not config.is_gated:
        return BertModel(BertConfig(intermediate_size=config.ffn_hidden_size, **same, **layers))
    heads = {"num_key_value_heads": config.num_key_value_heads, "head_dim": config.head_dim}
    return MistralModel(MistralConfig(intermediate_size=config.ffn_hidden_size, **same, **layers, **heads))


@pytest.mark.parametrize("name", TEXT_ENCODERS)
def test_a_text_encoder_has_about_as_many_weights_as_the_module(name):
    config = TEXT_ENCODERS[name]
    assert cost.text_encoder_parameters(config) == pytest.approx(count(on_meta(build_text_encoder, config)), rel=0.02)


@pytest.mark.parametrize("name", TEXT_ENCODERS)
def test_encoding_a_text_costs_what_torch_counts(name):
    config = TEXT_ENCODERS[name]
    module = on_meta(build_text_encoder, config)
    with FlopCounterMode(display=False) as counter:
        module(input_ids=torch.zeros(1, 96, dtype=torch.long, device="meta"))
    assert cost.text_flops(config, 96) == pytest.approx(counter.get_total_flops(), rel=0.01)


def count_flops(config: DiTConfig, image_side: int, text_tokens: int, *, checkpointing: bool) -> tuple[int, int]:
    """What torch counts forward, and forward and backward together, for a batch of two with real weights."""
    torch.manual_seed(0)
    denoiser = Denoiser(build_transformer(config, 8, 10)).train()
    if checkpointing:
        denoiser.transformer.enable_gradient_checkpointing()
    x_t, t = torch.randn(2, 8, image_side, image_side), torch.rand(2)
    condition = TextCondition(torch.randn(2, text_tokens, 10), torch.tensor([text_tokens, 3]))
    # Torch does not count the fused attention of CPUs, but the products that it stands for.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        v = denoiser(x_t, t, condition)
        forward = counter.get_total_flops()
        v.square().mean().backward()
    return forward, counter.get_total_flops()


@pytest.mark.parametrize(("image_side", "text_tokens"), [(4, 6), (12, 20)])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_training_step_costs_what_torch_counts(image_side, text_tokens, checkpointing):
    config = DiTConfig(48, 3, 4, 160, (4, 4, 4), 256)
    forward, both = count_flops(config, image_side, text_tokens, checkpointing=checkpointing)
    flops = cost.forward_flops(config, 8, 10, image_side**2, text_tokens)
    # 1 %: the angles of the rotary embedding are also a product.
    assert 2 * flops.total == pytest.approx(forward, rel=0.01)
    # 3 %: the gradients of inputs that need none.
    assert 2 * cost.training_flops(flops, recompute=checkpointing) == pytest.approx(both, rel=0.03)


def test_the_released_model_costs_what_its_size_predicts():
    tokens = cost.image_tokens(1024, 1024)
    flops = cost.forward_flops(RELEASED, 128, 3072, tokens, 512)
    assert tokens == 4096
    assert flops.projections + flops.feed_forward == pytest.approx(2 * 36 * 218.1e6 * (tokens + 512), rel=1e-3)
    assert cost.training_flops(flops, recompute=False) == pytest.approx(
        260e12, rel=0.03
    )  # design estimate: about 4,600 tokens


def test_a_side_that_is_no_multiple_of_sixteen_is_refused():
    with pytest.raises(ValueError, match="1000x1024 px"):
        cost.image_tokens(1000, 1024)
