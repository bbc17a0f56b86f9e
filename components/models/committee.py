"""Student, fake network and a committee of experts around one frozen backbone: memory holds it once.

Whatever is an adapter lies on the backbone, and each call puts those in force that it needs: an expert's own, the
student's, the fake network's. Whatever has all its weights of its own (None in the place of a `LoraShape`; an expert
that is a full checkpoint) is a network of its own.

Between calls the student's adapter is in force. What requires a gradient is fixed once: switching does not touch it, so
that hooks of DDP and DeepSpeed stay right. A block that is computed again in the backward pass gets the adapters that
it was first computed with.
Source: arXiv:2605.25347, section 2.2.3; arXiv:2605.25378 (one backbone for student, fake network and teachers).
"""

import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import ErnieImageTransformer2DModel
from jaxtyping import Float
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from components.models.config import DiTConfig, LoraShape
from components.models.denoiser import Denoiser, TextCondition
from components.models.discriminator import FeatureHead, teacher_features
from components.models.experts import ExpertError, add_expert, is_adapter
from components.models.initial import InitialWeightsError, load_initial, transformer_directory
from components.models.lora import ADAPTER, add_lora

FAKE = "fake"
OF_ADAPTER = re.compile(r"\.lora_[AB]\.([^.]+)\.")


class Switched:
    """A denoiser with adapters on its transformer; outside of `using` the student's is in force, if it is there."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser
        self._layers: list[Any] = [layer for layer in denoiser.transformer.modules() if isinstance(layer, LoraLayer)]
        self._now: Mapping[str, float] = {}
        self._put_in_force({ADAPTER: 1.0})

    @contextmanager
    def using(self, scales: Mapping[str, float]) -> Generator[Denoiser]:
        """The denoiser with these adapters in force, each times its scale; after the block those from before."""
        before = self._now
        self._put_in_force(scales)
        try:
            yield self.denoiser
        finally:
            self._put_in_force(before)

    def checkpointed(self, block: nn.Module, *inputs: Any) -> Any:
        """A block's output; the backward pass computes it again, with the adapters that are in force now."""
        scales = self._now

        def compute(*again: Any) -> Any:
            with self.using(scales):
                return block(*again)

        return checkpoint(compute, *inputs, use_reentrant=False)

    def _put_in_force(self, scales: Mapping[str, float]) -> None:
        """Not by PEFT's `set_adapter`, which changes what requires a gradient."""
        self._now = scales
        for layer in self._layers:
            layer._active_adapter = list(scales)
            for name, scale in scales.items():
                layer.set_scale(name, scale)


@dataclass(frozen=True)
class Member:
    """A velocity: a network, and the adapters on it, if any."""

    network: Switched
    adapters: tuple[str, ...] = ()


class Committee(nn.Module):
    """Frozen experts, and the one model of the student's own pictures ("fake"), which trains.

    `networks` are those besides the student's; members may also lie on the student's, and so may `backbone`.
    """

    def __init__(
        self, experts: Mapping[str, Member], fake: Member, networks: Mapping[str, Denoiser], backbone: Switched
    ) -> None:
        super().__init__()
        self.experts = tuple(experts)
        self.networks = nn.ModuleDict(networks)
        self._experts, self._fake, self._backbone = dict(experts), fake, backbone

    @torch.no_grad()
    def expert(
        self,
        name: str,
        x_t: Float[Tensor, "b c h w"],
        t: Float[Tensor, " b"],
        condition: TextCondition,
        *,
        fake_scale: float,
    ) -> Float[Tensor, "b c h w"]:
        """An expert's velocity; `fake_scale` times the fake adapter is added, if expert and fake share the backbone."""
        member = self._experts[name]
        scales = dict.fromkeys(member.adapters, 1.0)
        if member.network is self._fake.network and fake_scale != 0:
            scales |= dict.fromkeys(self._fake.adapters, fake_scale)
        with member.network.using(scales) as denoiser:
            return denoiser(x_t, t, condition)

    def fake(
        self, x_t: Float[Tensor, "b c h w"], t: Float[Tensor, " b"], condition: TextCondition
    ) -> Float[Tensor, "b c h w"]:
        """The fake network's velocity; a gradient reaches its own weights only."""
        with self._fake.network.using(dict.fromkeys(self._fake.adapters, 1.0)) as denoiser:
            return denoiser(x_t, t, condition)

    def features(
        self, block: int, x_t: Float[Tensor, "b c h w"], t: Float[Tensor, " b"], condition: TextCondition
    ) -> Float[Tensor, "b n d"]:
        """What a block of the bare backbone puts out for the image tokens; a gradient reaches `x_t` only."""
        with self._backbone.using({}) as denoiser, teacher_features(denoiser.transformer, block) as seen:
            denoiser(x_t, t, condition)
        return seen[0]

    def checkpoint_activations(self) -> None:
        """As a denoiser does, on every network of a member and on the backbone."""
        for network in (*(member.network for member in (*self._experts.values(), self._fake)), self._backbone):
            network.denoiser.transformer.enable_gradient_checkpointing(network.checkpointed)


class Distilled(Denoiser):
    """The student, with the committee that teaches it and perhaps a head that tells real from drawn."""

    def __init__(
        self,
        transformer: ErnieImageTransformer2DModel,
        form: Callable[[Denoiser], Committee],
        head: FeatureHead | None = None,
    ) -> None:
        """`form` is given the student: members may lie on it."""
        super().__init__(transformer)
        self.committee = form(self)
        self.head = head

    def checkpoint_activations(self) -> None:
        """The committee's networks too."""
        super().checkpoint_activations()
        self.committee.checkpoint_activations()

    def student_weights(self) -> dict[str, nn.Parameter]:
        """What the student trains, named as by `named_parameters`."""
        return {name: weight for name, weight in self._training().items() if not _is_fake(name)}

    def fake_weights(self) -> dict[str, nn.Parameter]:
        """What trains in the fake network's turn: itself and the head; named as by `named_parameters`."""
        return {name: weight for name, weight in self._training().items() if _is_fake(name)}

    def _training(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self.named_parameters() if weight.requires_grad}


def _is_fake(name: str) -> bool:
    return name.startswith((f"committee.networks.{FAKE}.", "head.")) or _adapter_of(name) == FAKE


def _adapter_of(name: str) -> str | None:
    found = OF_ADAPTER.search(name)
    return found[1] if found else None


def student_state(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of a `Distilled`'s weights is the student, named as in a denoiser with the student's adapter only."""
    state: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if not name.startswith("transformer.") or _adapter_of(name) not in (None, ADAPTER):
            continue
        layer = name.partition(".base_layer.")[0]
        is_adapted = f"{layer}.lora_A.{ADAPTER}.weight" in weights
        state[name if is_adapted else name.replace(".base_layer.", ".")] = weight
    return state


def build_distilled(
    backbone: Path,
    experts: Mapping[str, Path | None],
    config: DiTConfig,
    in_channels: int,
    text_in_dim: int,
    *,
    student: LoraShape | None,
    fake: LoraShape | None,
    seed: int,
    has_head: bool = False,
) -> Distilled:
    """Student and fake network, which both begin as the backbone, and the experts; None is the backbone itself.

    `seed` is that of new adapters and of the head. None for `student` or `fake`: all weights of a copy of its own.

    Raises:
        ExpertError: an expert of another architecture or base, or with adapters where the backbone has no layers.
        InitialWeightsError: the backbone does not have the shape that is asked for.
    """
    _check_names(experts)

    def load(directory: Path) -> ErnieImageTransformer2DModel:
        return load_initial(transformer_directory(directory), config, in_channels, text_in_dim)

    shared = load(backbone)
    full = _add_experts(shared, experts, load)
    _add_learners(shared, student, fake, seed)

    def form(learner: Denoiser) -> Committee:
        networks = {_key(name): denoiser for name, denoiser in full.items()}
        if student is None and (fake or has_head or len(full) < len(experts)):
            networks["backbone"] = Denoiser(shared)
        if fake is None:
            networks[FAKE] = Denoiser(load(backbone))
        base = Switched(networks.get("backbone", learner))
        members: dict[str, Member] = {}
        for name, directory in experts.items():
            own = Switched(full[name]) if name in full else None
            members[name] = Member(own or base, (_key(name),) if directory and not own else ())
        fake_member = Member(base, (FAKE,)) if fake else Member(Switched(networks[FAKE]))
        return Committee(members, fake_member, networks, base)

    head = _new_head(config.hidden_size, seed) if has_head else None
    return Distilled(load(backbone) if student is None else shared, form, head)


def _new_head(width: int, seed: int) -> FeatureHead:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FeatureHead(width, width)


def _add_experts(
    backbone: ErnieImageTransformer2DModel,
    experts: Mapping[str, Path | None],
    load: Callable[[Path], ErnieImageTransformer2DModel],
) -> dict[str, Denoiser]:
    """Put adapters onto the backbone; full checkpoints become networks of their own, which are returned."""
    full: dict[str, Denoiser] = {}
    for name, directory in experts.items():
        try:
            if directory and is_adapter(directory):
                add_expert(backbone, _key(name), directory)
            elif directory:
                full[name] = Denoiser(load(directory).requires_grad_(False))
        except (ExpertError, InitialWeightsError) as error:
            raise ExpertError(f"expert {name}: {error}") from None
    return full


def _add_learners(
    backbone: ErnieImageTransformer2DModel, student: LoraShape | None, fake: LoraShape | None, seed: int
) -> None:
    """Put new adapters onto the backbone, of which nothing else will train."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name, shape in ((ADAPTER, student), (FAKE, fake)):
            if shape is not None:
                add_lora(backbone, shape, name)
    for name, weight in backbone.named_parameters():
        weight.requires_grad_(_adapter_of(name) in (ADAPTER, FAKE))


def _key(expert: str) -> str:
    """What an expert's adapter or network is called."""
    return f"expert_{expert}"


def _check_names(experts: Mapping[str, Path | None]) -> None:
    if not experts:
        raise ExpertError("a committee needs at least one expert")
    for name in experts:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ExpertError(f"expert {name!r}: a name has letters, digits, - and _ only")
