"""Each arm differs from the declared distillation in what its name says, and in nothing else."""

from dataclasses import asdict

import pytest
import torch
from tiny_distillation import DISTILL

from components.objectives.committee import Role
from components.objectives.distribution_matching import committee_weights
from components.training.distillation_ablation import ARMS, arm_configs

LEVELS = torch.linspace(0.01, 0.99, 9)
DIFFERS = {"committee": set(), "single": {"committee"}, "one_table": {"committee"}, "noised_data": {"sampler"}}


def weights(arm: str, role: Role, domain: str) -> torch.Tensor:
    return committee_weights(arm_configs(DISTILL, 8)[arm].committee, role, LEVELS, [domain] * len(LEVELS))


@pytest.mark.parametrize("arm", ARMS)
def test_arms_have_the_same_steps_and_seeds_and_differ_in_one_part(arm):
    arms = {name: asdict(config) for name, config in arm_configs(DISTILL, 8).items()}
    assert list(arms) == list(ARMS)
    assert {name for name in arms[arm] if arms[arm][name] != arms["committee"][name]} == DIFFERS[arm]
    assert arms[arm]["num_student_updates"] == 8
    assert arms[arm]["seed"] == DISTILL.seed


@pytest.mark.parametrize("domain", ["general", "poster", "never heard of"])
def test_who_is_heard(domain):
    for role in ("dm", "ca"):
        assert weights("single", role, domain).tolist() == [[1.0, 0.0]] * len(LEVELS)
        assert torch.equal(weights("one_table", role, domain), weights("committee", "dm", domain))
    if domain == "poster":
        assert not torch.equal(weights("committee", "ca", domain), weights("committee", "dm", domain))


def test_the_comparison_draws_no_real_data_but_where_it_says_so():
    configs = arm_configs(DISTILL, 8)
    assert {arm: config.sampler.rollout for arm, config in configs.items()} == {
        "committee": "euler",
        "single": "euler",
        "one_table": "euler",
        "noised_data": "noised_data",
    }
    assert all(config.watch.patience == 0 for config in configs.values())
