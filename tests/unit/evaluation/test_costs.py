import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from components.evaluation.costs import cost_of
from components.evaluation.suite import Model
from components.models.config import DiTConfig
from components.models.denoiser import Denoiser
from components.models.transformer import build_transformer
from components.samplers.config import SamplingConfig
from components.samplers.drawing import draw_latents

TEXTS, EMPTY = [torch.zeros(3, 8), torch.zeros(7, 8)], torch.zeros(2, 8)


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_it_is_what_torch_counts_while_images_are_drawn_one_by_one(guidance_scale: float) -> None:
    denoiser = Denoiser(build_transformer(DiTConfig(32, 2, 2, 48, (4, 6, 6), 256), 16, 8).eval())
    model = Model(denoiser, 1.0, SamplingConfig(3, guidance_scale, 1))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        for _ in draw_latents(denoiser, TEXTS, EMPTY, torch.zeros(2, 16, 2, 2), config=model.sampling, shift=1.0):
            pass
    cost = cost_of("sft", model, [3, 7], 2, 4)
    assert (cost.model, cost.num_evaluations) == ("sft", 3 if guidance_scale == 1 else 6)
    assert cost.gflops == pytest.approx(counter.get_total_flops() / 2 / 1e9, rel=0.01)
