"""The transformer and the denoiser around it: zero at first, blind to padding, honest about its size."""

import pytest
import torch

from components.models.config import DiTConfig
from components.models.denoiser import Denoiser, TextCondition, pad_states
from components.models.transformer import build_transformer, load_transformer

TINY = DiTConfig(
    hidden_size=24, num_layers=2, num_attention_heads=2, ffn_hidden_size=48, rope_axes_dim=(4, 4, 4), rope_theta=256
)
CHANNELS, TEXT_DIM = 8, 10


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def fresh() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(build_transformer(TINY, CHANNELS, TEXT_DIM)).eval()


@pytest.fixture
def trained(fresh) -> Denoiser:
    """Weights that are nowhere zero, so that everything shows."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in fresh.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return fresh


@pytest.fixture
def condition() -> TextCondition:
    return pad_states([noise(n, TEXT_DIM, seed=n) for n in (3, 5, 2, 5)])


def test_a_new_network_says_zero(fresh, condition):
    v = fresh(noise(4, CHANNELS, 4, 4), torch.rand(4), condition)
    assert torch.equal(v, torch.zeros(4, CHANNELS, 4, 4))


@torch.no_grad()
def test_permuting_the_batch_permutes_the_output(trained, condition):
    x, t, order = noise(4, CHANNELS, 4, 4), torch.tensor([0.1, 0.4, 0.6, 0.9]), torch.tensor([3, 1, 0, 2])
    permuted = TextCondition(condition.states[order], condition.lengths[order])
    torch.testing.assert_close(trained(x[order], t[order], permuted), trained(x, t, condition)[order])


@torch.no_grad()
def test_padded_text_changes_nothing(trained, condition):
    x, t = noise(4, CHANNELS, 4, 4), torch.full((4,), 0.5)
    v = trained(x, t, condition)
    rubbish = condition.states.clone()
    for row, length in enumerate(condition.lengths):
        rubbish[row, length:] = 1e3
    torch.testing.assert_close(trained(x, t, TextCondition(rubbish, condition.lengths)), v)
    longer = torch.nn.functional.pad(condition.states, (0, 0, 0, 6))
    torch.testing.assert_close(trained(x, t, TextCondition(longer, condition.lengths)), v, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_sample_does_not_depend_on_its_company(trained, condition):
    x, t = noise(4, CHANNELS, 4, 4), torch.tensor([0.1, 0.4, 0.6, 0.9])
    together = trained(x, t, condition)
    for row, length in enumerate(condition.lengths):
        alone = pad_states([condition.states[row, :length]])
        one = trained(x[row : row + 1], t[row : row + 1], alone)
        torch.testing.assert_close(one, together[row : row + 1], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_timestep_is_a_thousand_t_in_float32_whatever_the_rest(trained, condition):
    x = noise(4, CHANNELS, 4, 4)
    # 0.7510 and 0.7512 are one number in bf16 once they are multiplied by 1000.
    told: list[torch.Tensor] = []
    hook = trained.transformer.time_proj.register_forward_pre_hook(lambda _, inputs: told.append(inputs[0]))
    half = trained.to(torch.bfloat16)
    half(x.bfloat16(), torch.tensor([0.7510, 0.7512, 0.0, 1.0]), condition)
    hook.remove()
    torch.testing.assert_close(told[0], torch.tensor([751.0, 751.2, 0.0, 1000.0]))
    assert told[0].dtype == torch.float32


@torch.no_grad()
def test_bf16_stays_near_float32(trained, condition):
    x, t = noise(4, CHANNELS, 4, 4), torch.tensor([0.1, 0.4, 0.6, 0.9])
    exact = trained(x, t, condition)
    rough = trained.to(torch.bfloat16)(x.bfloat16(), t, condition)
    assert float((rough.float() - exact).norm() / exact.norm()) < 0.03


@torch.no_grad()
def test_text_and_time_matter(trained, condition):
    x, t = noise(4, CHANNELS, 4, 4), torch.full((4,), 0.5)
    other = TextCondition(condition.states.flip(0), condition.lengths.flip(0))
    v = trained(x, t, condition)
    assert float((trained(x, t, other) - v).abs().max()) > 1e-3
    assert float((trained(x, t + 0.3, condition) - v).abs().max()) > 1e-3


def test_saved_and_loaded_it_is_the_same(trained, condition, tmp_path):
    trained.transformer.save_pretrained(tmp_path / "transformer", safe_serialization=True)
    loaded = Denoiser(load_transformer(tmp_path / "transformer"))
    x, t = noise(4, CHANNELS, 4, 4), torch.full((4,), 0.5)
    assert torch.equal(loaded(x, t, condition), trained(x, t, condition))


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json is missing"):
        load_transformer(tmp_path)


@pytest.mark.parametrize(("heads", "axes"), [(5, (4, 4, 4)), (2, (4, 4, 6)), (2, (3, 3, 6))])
def test_widths_that_do_not_fit_are_refused(heads, axes):
    with pytest.raises(ValueError, match="got"):
        DiTConfig(24, 2, heads, 48, axes, 256)
