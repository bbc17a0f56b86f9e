"""The committee on one backbone: each velocity is that of a network of its own, gradients stay where they belong."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from diffusers import ErnieImageTransformer2DModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.models.committee import Committee, Distilled, build_distilled, student_state
from components.models.config import DiTConfig, LoraShape
from components.models.denoiser import Denoiser, TextCondition, pad_states
from components.models.discriminator import teacher_features
from components.models.experts import ExpertError
from components.models.initial import WEIGHTS_FILE, InitialWeightsError
from components.models.lora import add_lora, merge_lora
from components.models.transformer import build_transformer, load_transformer
from components.training.pretrain import network_of

CONFIG = DiTConfig(24, 2, 2, 48, (4, 4, 4), 256)
SHAPE = (CONFIG, 8, 10)
LETTERING = LoraShape(rank=4, alpha=8, layers=("to_q", "to_v", "to_out.0"))
DRAWING = LoraShape(rank=2, alpha=1, layers=("to_k", "up_proj"))
STUDENT = LoraShape(rank=3, alpha=6, layers=("to_q", "to_k"))
FAKE = LoraShape(rank=2, alpha=8, layers=("to_v", "up_proj"))
ADAPTER_FILE = "lora/pytorch_lora_weights.safetensors"
KINDS = [(STUDENT, FAKE), (None, FAKE), (STUDENT, None), (None, None)]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def shake(weights: Mapping[str, Tensor], seed: int) -> None:
    """Make weights nowhere zero, so that everything shows."""
    for place, weight in enumerate(weights.values()):
        weight.add_(0.2 * noise(*weight.shape, seed=1000 * seed + place))


def new_network(config: DiTConfig = CONFIG, seed: int = 1) -> ErnieImageTransformer2DModel:
    torch.manual_seed(0)
    network = build_transformer(config, 8, 10)
    shake(dict(network.named_parameters()), seed)
    return network


def save_expert(directory: Path, lora: LoraShape, seed: int, base: ErnieImageTransformer2DModel | None = None) -> Path:
    """What fine-tuning an adapter leaves."""
    network = base or new_network()
    add_lora(network, lora)
    shake({name: weight for name, weight in network.named_parameters() if "lora_" in name}, seed)
    merge_lora(network, directory / "lora")
    network.save_pretrained(directory / "transformer")
    return directory


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path | None]:
    """The backbone under `general`, two adapters, one full checkpoint."""
    place = tmp_path_factory.mktemp("models")
    new_network().save_pretrained(place / "general" / "transformer")
    new_network(seed=9).save_pretrained(place / "photo" / "transformer")
    return {
        "general": place / "general",
        "lettering": save_expert(place / "lettering", LETTERING, 2),
        "drawing": save_expert(place / "drawing", DRAWING, 3),
        "photo": place / "photo",
    }


def build(folders, student: LoraShape | None = STUDENT, fake: LoraShape | None = FAKE, seed: int = 0) -> Distilled:
    """With weights of student and fake network that are not those they begin with."""
    experts = folders | {"general": None}
    distilled = build_distilled(folders["general"], experts, *SHAPE, student=student, fake=fake, seed=seed)
    shake(distilled.student_weights(), 4)
    shake(distilled.fake_weights(), 5)
    return distilled


@pytest.fixture(params=KINDS, ids=["shared", "student alone", "fake alone", "three copies"])
def distilled(request, folders) -> Distilled:
    return build(folders, *request.param)


@pytest.fixture
def asked() -> tuple[Tensor, Tensor, TextCondition]:
    return noise(3, 8, 4, 4), torch.tensor([0.1, 0.5, 0.9]), pad_states([noise(n, 10, seed=n) for n in (3, 5, 2)])


def grads(distilled: Distilled) -> set[str]:
    """Names of the weights that have a gradient, which are then without one again."""
    found = {name for name, weight in distilled.named_parameters() if weight.grad is not None}
    distilled.zero_grad()
    return found


@torch.no_grad()
def test_every_expert_is_its_merged_network(folders, distilled, asked):
    for name, directory in folders.items():
        alone = Denoiser(load_transformer(directory / "transformer"))(*asked)
        torch.testing.assert_close(
            distilled.committee.expert(name, *asked, fake_scale=0.0), alone, rtol=1e-4, atol=1e-5
        )
    assert distilled.committee.experts == tuple(folders)


@torch.no_grad()
def test_the_fake_adapter_comes_on_top_of_an_expert_by_its_scale(folders, asked):
    distilled = build(folders)
    committee, weights = distilled.committee, distilled.state_dict()
    torch.testing.assert_close(committee.expert("general", *asked, fake_scale=1.0), committee.fake(*asked))
    by_hand = load_transformer(folders["lettering"] / "transformer")
    for name, weight in by_hand.named_parameters():
        layer = "transformer." + name.removesuffix(".weight")
        if (up := weights.get(f"{layer}.lora_B.fake.weight")) is not None:
            weight += 0.3 * FAKE.alpha / FAKE.rank * up @ weights[f"{layer}.lora_A.fake.weight"]
    v = committee.expert("lettering", *asked, fake_scale=0.3)
    torch.testing.assert_close(v, Denoiser(by_hand)(*asked), rtol=1e-4, atol=1e-5)
    assert float((v - committee.expert("lettering", *asked, fake_scale=0.0)).abs().max()) > 1e-3


@torch.no_grad()
@pytest.mark.parametrize(("student", "fake", "name"), [(STUDENT, None, "lettering"), (STUDENT, FAKE, "photo")])
def test_the_fake_scale_is_nothing_to_an_expert_on_another_network(folders, asked, student, fake, name):
    committee = build(folders, student, fake).committee
    one, other = (committee.expert(name, *asked, fake_scale=scale) for scale in (0.0, 1.0))
    assert torch.equal(one, other)


@pytest.mark.parametrize("is_checkpointing", [False, True])
def test_gradients_reach_their_own_weights_only(distilled, asked, is_checkpointing):
    if is_checkpointing:
        distilled.checkpoint_activations()
    distilled(*asked).square().mean().backward()
    assert grads(distilled) == set(distilled.student_weights())
    distilled.committee.fake(*asked).square().mean().backward()
    assert grads(distilled) == set(distilled.fake_weights())
    assert not distilled.committee.expert("lettering", *asked, fake_scale=0.5).requires_grad


@pytest.mark.parametrize("is_checkpointing", [False, True])
def test_features_are_those_of_the_bare_backbone_and_a_gradient_reaches_their_input_only(
    folders, distilled, asked, is_checkpointing
):
    bare = load_transformer(folders["general"] / "transformer")
    with teacher_features(bare, 1) as seen:
        Denoiser(bare)(*asked)
    if is_checkpointing:
        distilled.checkpoint_activations()
    x_t, *others = asked
    x_t = x_t.clone().requires_grad_()
    features = distilled.committee.features(1, x_t, *others)
    torch.testing.assert_close(features, seen[0])
    features.square().mean().backward()
    assert x_t.grad is not None
    assert bool(x_t.grad.any())
    assert grads(distilled) == set()


@pytest.mark.parametrize("student", [STUDENT, None])
@pytest.mark.parametrize("fake", [FAKE, None])
def test_a_head_is_of_the_fakes_turn_and_changes_no_other_weight(folders, student, fake):
    def build_with(seed, *, has_head):
        experts = {"photo": folders["photo"]}
        return build_distilled(
            folders["general"], experts, *SHAPE, student=student, fake=fake, seed=seed, has_head=has_head
        )

    without, one, same, other = (
        build_with(seed, has_head=bool(head)) for seed, head in ((0, 0), (0, 1), (0, 1), (1, 1))
    )
    assert without.head is None
    heads = {name for name in one.fake_weights() if name.startswith("head.")}
    assert len(heads) == 4
    assert set(one.fake_weights()) - heads == set(without.fake_weights())
    weights = dict(one.named_parameters())
    for name, weight in without.named_parameters():
        assert torch.equal(weights[name], weight)
    assert student_state(weights).keys() == student_state(dict(without.named_parameters())).keys()
    assert torch.equal(one.head.first.weight, same.head.first.weight)
    assert not torch.equal(one.head.first.weight, other.head.first.weight)


def test_student_and_fake_weights_are_all_that_trains(distilled):
    student, fake = distilled.student_weights(), distilled.fake_weights()
    training = {name for name, weight in distilled.named_parameters() if weight.requires_grad}
    assert student
    assert fake
    assert not set(student) & set(fake)
    assert set(student) | set(fake) == training


@pytest.mark.parametrize("is_checkpointing", [False, True])
def test_calls_between_forward_and_backward_leave_the_gradient_alone(distilled, asked, is_checkpointing):
    if is_checkpointing:
        distilled.checkpoint_activations()
    committee = distilled.committee

    def gradients(forward, between) -> list[Tensor]:
        loss = forward(*asked).square().mean()
        between()
        distilled.zero_grad()
        loss.backward()
        return [weight.grad.clone() for weight in distilled.parameters() if weight.grad is not None]

    def disturb() -> None:
        with torch.no_grad():
            committee.fake(*asked)
            distilled(*asked)
        for name in committee.experts:
            committee.expert(name, *asked, fake_scale=0.3)

    for forward in (distilled, committee.fake):
        for quiet, disturbed in zip(gradients(forward, lambda: None), gradients(forward, disturb), strict=True):
            assert torch.equal(quiet, disturbed)


def test_checkpointing_changes_no_gradient(folders, asked):
    for forward in (lambda network: network(*asked), lambda network: network.committee.fake(*asked)):
        found = []
        for is_checkpointing in (False, True):
            network = build(folders)
            if is_checkpointing:
                network.checkpoint_activations()
            forward(network).square().mean().backward()
            found.append({name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None})
        torch.testing.assert_close(*found)


def test_switching_changes_no_requirement_of_gradients(distilled, asked):
    before = {name: weight.requires_grad for name, weight in distilled.named_parameters()}
    seen: list[dict[str, bool]] = []
    hook = distilled.committee._experts["lettering"].network.denoiser.transformer.register_forward_hook(
        lambda *_: seen.append({name: weight.requires_grad for name, weight in distilled.named_parameters()})
    )
    for name in distilled.committee.experts:
        distilled.committee.expert(name, *asked, fake_scale=0.5)
    distilled.committee.fake(*asked)
    distilled(*asked)
    hook.remove()
    assert seen
    assert all(found == before for found in seen)


def test_an_error_inside_a_call_leaves_the_student_in_force(folders, asked):
    distilled = build(folders)
    before = distilled(*asked)
    with pytest.raises(RuntimeError):
        distilled.committee.expert("drawing", noise(3, 7, 4, 4), *asked[1:], fake_scale=1.0)
    assert torch.equal(distilled(*asked), before)


def test_the_backbone_is_there_once(folders):
    backbone = sum(weight.numel() for weight in new_network().parameters())
    distilled = build({name: folders[name] for name in ("general", "lettering", "drawing")})
    of_adapters = sum(weight.numel() for name, weight in distilled.named_parameters() if "lora_" in name)
    assert sum(weight.numel() for weight in distilled.parameters()) == backbone + of_adapters
    assert of_adapters < backbone / 4
    names = list(distilled.state_dict())
    assert len(names) == len(set(names)) == len(list(distilled.named_parameters()))
    full = build_distilled(folders["general"], {"photo": folders["photo"]}, *SHAPE, student=None, fake=None, seed=0)
    assert sum(weight.numel() for weight in full.parameters()) == 3 * backbone


@torch.no_grad()
def test_both_begin_as_the_backbone_and_adapters_come_from_the_seed(folders, asked):
    backbone = Denoiser(load_transformer(folders["general"] / "transformer"))(*asked)

    def new(student: LoraShape | None, fake: LoraShape | None, seed: int) -> Distilled:
        return build_distilled(folders["general"], {"general": None}, *SHAPE, student=student, fake=fake, seed=seed)

    for kind in KINDS:
        network = new(*kind, 0)
        assert torch.equal(network(*asked), backbone)
        assert torch.equal(network.committee.fake(*asked), backbone)
    state = torch.get_rng_state()
    one, same, other = (new(STUDENT, FAKE, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@torch.no_grad()
@pytest.mark.parametrize(("student", "fake"), KINDS)
def test_the_student_alone_is_the_student(folders, asked, student, fake):
    distilled = build(folders, student, fake)
    weights = {name: weight.detach() for name, weight in distilled.named_parameters()}
    network = network_of(distilled.transformer.config, student_state(weights), student)
    torch.testing.assert_close(Denoiser(network)(*asked), distilled(*asked))


def test_the_numbers_to_compute_in_are_set_everywhere(distilled):
    distilled.compute_in(torch.bfloat16)
    parts = [part for part in distilled.modules() if isinstance(part, Denoiser)]
    assert all(part.compute_dtype == torch.bfloat16 for part in parts)
    assert all(member.network.denoiser in parts for member in distilled.committee._experts.values())


def rebuild(folders, **changed: Path) -> None:
    build_distilled(folders["general"], {"general": None} | changed, *SHAPE, student=STUDENT, fake=FAKE, seed=0)


@pytest.mark.parametrize("is_adapter", [True, False])
def test_an_expert_of_another_architecture_is_named_with_the_number_that_differs(folders, tmp_path, is_adapter):
    other = new_network(DiTConfig(24, 3, 2, 48, (4, 4, 4), 256))
    if is_adapter:
        save_expert(tmp_path, LETTERING, 2, other)
    else:
        other.save_pretrained(tmp_path / "transformer")
    with pytest.raises(ExpertError, match=r"^expert other: .*num_layers 3, not 2[^\n]*$"):
        rebuild(folders, other=tmp_path)


@pytest.mark.parametrize("name", ["layers.0.self_attention.to_k.weight", "layers.0.self_attention.to_q.weight"])
def test_an_adapter_of_another_base_is_refused(folders, tmp_path, name):
    base = new_network()
    with torch.no_grad():
        base.get_parameter(name)[0, 0] += 1e-4
    save_expert(tmp_path, LETTERING, 2, base)
    with pytest.raises(ExpertError, match=rf"^expert other: .*{name} is not the backbone's weight.* another base"):
        rebuild(folders, other=tmp_path)


@torch.no_grad()
def test_a_base_that_was_rounded_to_bf16_is_the_same_base(folders, tmp_path, asked):
    base = new_network().bfloat16().float()
    rebuild(folders, other=save_expert(tmp_path, LETTERING, 2, base))


def test_an_adapter_on_layers_that_the_backbone_lacks_is_refused(folders, tmp_path):
    save_expert(tmp_path, LETTERING, 2)
    weights, header = adapter_file(tmp_path)
    for was, now, said in [
        ("layers.0.", "layers.7.", r"adapts the layer 'layers.7.\S+', which the backbone does not have"),
        (".weight", ".magnitude", "is no weight of a low-rank adapter"),
    ]:
        save_file({name.replace(was, now): weight for name, weight in weights.items()}, tmp_path / ADAPTER_FILE, header)
        with pytest.raises(ExpertError, match=f"^expert other: .*{said}"):
            rebuild(folders, other=tmp_path)
    save_file({name: weight.repeat(2, 2) for name, weight in weights.items()}, tmp_path / ADAPTER_FILE, header)
    with pytest.raises(ExpertError, match=r"has the width 48, not 24"):
        rebuild(folders, other=tmp_path)


def adapter_file(directory: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(directory / ADAPTER_FILE, framework="pt") as opened:
        return load_file(directory / ADAPTER_FILE), opened.metadata()


def test_a_scale_other_than_the_trained_one_is_refused(folders, tmp_path):
    save_expert(tmp_path, LETTERING, 2)
    weights, header = adapter_file(tmp_path)
    shape = json.loads(header["lora_adapter_metadata"]) | {"lora_alpha": 4}
    save_file(weights, tmp_path / ADAPTER_FILE, {**header, "lora_adapter_metadata": json.dumps(shape)})
    with pytest.raises(ExpertError, match="plus the product"):
        rebuild(folders, other=tmp_path)


def test_what_is_torn_or_missing_is_one_line(folders, tmp_path):
    save_expert(tmp_path, LETTERING, 2)
    weights, header = adapter_file(tmp_path)
    save_file(weights, tmp_path / ADAPTER_FILE, {**header, "lora_adapter_metadata": '{"colour": 1}'})
    with pytest.raises(ExpertError, match=r"^expert other: .*no adapter as diffusers saves it"):
        rebuild(folders, other=tmp_path)
    (tmp_path / ADAPTER_FILE).write_bytes(b"torn")
    with pytest.raises(ExpertError, match=r"^expert other: .*not a whole safetensors file"):
        rebuild(folders, other=tmp_path)
    (tmp_path / ADAPTER_FILE).unlink()
    with pytest.raises(ExpertError, match=r"^expert other: .*pytorch_lora_weights"):
        rebuild(folders, other=tmp_path)
    (tmp_path / "transformer" / WEIGHTS_FILE).unlink()
    (tmp_path / "transformer" / "config.json").unlink()
    with pytest.raises(ExpertError, match=r"^expert other: .*no config\.json"):
        rebuild(folders, other=tmp_path)


def test_a_merged_network_that_lacks_a_weight_is_refused(folders, tmp_path):
    save_expert(tmp_path, LETTERING, 2)
    file = tmp_path / "transformer" / WEIGHTS_FILE
    weights = load_file(file)
    del weights["final_linear.bias"]
    save_file(weights, file)
    with pytest.raises(ExpertError, match=r"1 weights are missing, such as final_linear\.bias"):
        rebuild(folders, other=tmp_path)


@pytest.mark.parametrize(("experts", "said"), [({}, "at least one"), ({"a.b": None}, "'a.b': a name has letters")])
def test_names_that_cannot_be_are_refused(folders, experts, said):
    with pytest.raises(ExpertError, match=said):
        build_distilled(folders["general"], experts, *SHAPE, student=STUDENT, fake=FAKE, seed=0)


def test_a_backbone_of_another_shape_is_refused(folders):
    with pytest.raises(InitialWeightsError, match="in_channels 8, not 16"):
        build_distilled(folders["general"], {"general": None}, CONFIG, 16, 10, student=STUDENT, fake=FAKE, seed=0)


def test_a_committee_is_a_module_without_the_student(folders):
    assert isinstance(build(folders).committee, Committee)
    assert not any("transformer.layers" in name for name in build(folders | {"photo": None}).committee.state_dict())
