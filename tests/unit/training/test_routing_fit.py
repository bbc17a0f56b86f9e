"""A committee fitted before a distillation: who alone is right is found, and without a fit nothing changes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_distillation import ALONE, DISTILL, DOMAINS, EVEN, save_committee, tiny_distilled
from tiny_training import tiny_store

from components.data.buckets import Bucket
from components.data.latents import LatentStore
from components.models.committee import Distilled
from components.objectives.routing_config import RouterFit
from components.training.routing_fit import expert_grams, fit_router, router_metrics
from components.training.sft import sft_source

ROUTER = RouterFit(num_images=94, pull=0.01, min_samples=3, seed=5)
TABLE = {"general": EVEN, "poster": EVEN}
RULE = replace(DISTILL, committee=replace(DISTILL.committee, weights={"dm": TABLE, "ca": TABLE}))


def fitted(model: Distilled, config=RULE, router=ROUTER, store: LatentStore | None = None):
    buckets = {Bucket(32, 32): store or tiny_store()}
    return fit_router(model, buckets, buckets, DOMAINS, replace(config, router=router))


@pytest.fixture
def model(tmp_path):
    return tiny_distilled(tmp_path, save_committee(tmp_path))


def test_who_alone_is_right_for_a_domain_teaches_it(model, monkeypatch):
    """Images of posters are all ones and the others all minus ones: each expert knows one kind, at any noise."""
    store = tiny_store()
    is_poster = np.array([name in DOMAINS for name in store.rows.column("sample_id").to_pylist()])
    latents = np.where(is_poster[:, None, None, None], 1.0, -1.0) * np.ones_like(store.latents)
    store = replace(store, latents=latents.astype(np.float16))
    knows = {"general": -1.0, "lettering": 1.0}
    # The exact velocity to a known image: v = (x_t - x_0) / t.
    monkeypatch.setattr(
        model.committee, "expert", lambda name, x, t, _, fake_scale: (x - knows[name]) / t.reshape(-1, 1, 1, 1)
    )
    found = fitted(model, store=store)
    for role in ("dm", "ca"):
        for band in ("high", "middle", "low"):
            assert found.weights[role]["poster"][band][1] > 0.95
            # The domain that serves all others is fitted to all images, of which a part are posters.
            assert 0.1 < found.weights[role]["general"][band][1] < 0.9


def test_experts_are_compared_on_the_same_noise_and_without_the_fake_model(model):
    buckets = {Bucket(32, 32): tiny_store()}
    batch = sft_source(buckets, buckets, RULE.batch, RULE.prior, seed=5).at(0, 4)
    t = torch.tensor([0.1, 0.4, 0.7, 0.9])
    eps = torch.stack([torch.randn(batch.x_0.shape[1:], generator=one.clone_state()) for one in batch.generators])
    grams = expert_grams(model, RULE.committee.experts, batch, t)
    t_ = t.reshape(-1, 1, 1, 1)
    x_t = (1 - t_) * batch.x_0 + t_ * eps
    off = model.committee.expert("lettering", x_t, t, batch.condition, fake_scale=0.0) - (eps - batch.x_0)
    torch.testing.assert_close(grams[:, 1, 1].float(), off.square().mean(dim=(1, 2, 3)))
    assert not torch.allclose(grams[:, 0, 0], grams[:, 1, 1])


def test_a_fit_is_a_function_of_its_seed_and_leaves_everything_as_it_was(model):
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    state = torch.get_rng_state()
    first = fitted(model)
    assert fitted(model) == first
    assert fitted(model, router=replace(ROUTER, seed=6)) != first
    assert torch.equal(torch.get_rng_state(), state)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, weights[name]), name
    assert all(weight.grad is None for weight in model.parameters())


def test_too_few_images_keep_the_rule(model):
    assert fitted(model, DISTILL, None) is DISTILL.committee
    assert fitted(model, DISTILL, replace(ROUTER, min_samples=1000)).weights == DISTILL.committee.weights


def test_every_weight_is_a_metric():
    told = router_metrics(DISTILL.committee)
    assert len(told) == 2 * 2 * 3 * 2
    assert told["router/ca/poster/low/lettering"] == 1.0
    assert told["router/dm/general/high/lettering"] == ALONE["high"][1]


@pytest.mark.parametrize("wrong", [{"num_images": 0}, {"pull": 0.0}, {"min_samples": 0}])
def test_what_cannot_be_fitted_is_refused(wrong):
    with pytest.raises(ValueError, match="must be positive"):
        replace(ROUTER, **wrong)
