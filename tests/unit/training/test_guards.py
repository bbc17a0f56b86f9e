"""Votes before an update, norms and names of gradients, incidents, and the count at the end."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from components.training.guards import (
    IncompleteTrainingError,
    Votes,
    cast_votes,
    check_complete,
    describe,
    gradient_norm,
    group_of,
    groups_not_finite,
)
from components.training.incidents import write_incident

ONE = torch.tensor(1.0)
BAD = [torch.tensor(value) for value in (float("nan"), float("inf"), float("-inf"))]


def test_the_vote_is_the_mean_loss_and_nothing_bad():
    assert cast_votes([torch.tensor(0.5), torch.tensor(1.5)], ONE, must_stop=False) == Votes(1.0, 0, 0, 0)
    assert cast_votes([ONE], ONE, must_stop=True) == Votes(1.0, 0, 0, 1)


@pytest.mark.parametrize("bad", BAD)
def test_one_bad_loss_of_several_is_seen(bad):
    votes = cast_votes([ONE, bad, ONE], ONE, must_stop=False)
    assert (votes.num_bad_losses, votes.num_bad_gradients) == (1, 0)
    assert math.isnan(votes.loss)


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_gradient_is_seen_by_its_norm_and_named(bad):
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    network(torch.ones(1, 3)).sum().backward()
    by_hand = torch.cat([weight.grad.flatten() for weight in network.parameters()]).double().norm()
    assert float(gradient_norm(network.parameters())) == pytest.approx(float(by_hand), rel=1e-6)
    network[1].weight.grad[1, 2] = bad
    norm = gradient_norm(network.parameters())
    assert cast_votes([ONE], norm, must_stop=False).num_bad_gradients == 1
    assert groups_not_finite({name: weight.grad for name, weight in network.named_parameters()}) == ["1"]


def test_weights_without_gradient_are_no_incident():
    network = nn.Linear(2, 2)
    assert float(gradient_norm(network.parameters())) == 0
    assert groups_not_finite({"weight": None}) == []


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("transformer.layers.3.mlp.up.weight", "transformer.layers.3"),
        ("transformer.layers.12.norms.0.weight", "transformer.layers.12"),
        ("transformer.norm.weight", "transformer.norm"),
        ("weight", "weight"),
    ],
)
def test_groups_are_blocks_or_layers(name, group):
    assert group_of(name) == group


def test_the_message_says_what_where_and_what_to_do():
    file = Path("incidents/x.json")
    loss = describe(Votes(math.nan, 1, 1, 0), {"flow_matching": math.nan}, ["a"], 48, file)
    assert loss.startswith("the loss is not finite after 48 images (flow_matching nan); nothing was updated; ")
    assert "incidents/x.json names the images" in loss
    gradient = describe(Votes(1.0, 0, 1, 0), {"loss": 1.0}, list("abcdef"), 48, file)
    assert gradient.startswith("the gradient is not finite in a, b, c, d and 2 more after 48 images")
    assert "its norm overflows" in describe(Votes(1.0, 0, 1, 0), {}, [], 0, file)


def test_an_incident_is_one_whole_file(tmp_path):
    file = write_incident(tmp_path / "incidents", "not-finite", 640, {"terms": {"loss": "nan"}})
    assert [entry.name for entry in (tmp_path / "incidents").iterdir()] == ["not-finite-000000000640-rank0.json"]
    assert json.loads(file.read_text()) == {
        "kind": "not-finite",
        "images_seen": 640,
        "rank": 0,
        "world_size": 1,
        "terms": {"loss": "nan"},
    }


def test_missing_updates_are_a_failure():
    check_complete(600, 600)
    with pytest.raises(IncompleteTrainingError, match="after 594 of 600 planned images; run again"):
        check_complete(594, 600)
