"""The weights behind a strategy: the float32 tensors that the optimiser updates, wherever and however cut they lie.

`masters` are this process's part of them: the whole weights (single, ddp), a slice (fsdp2, zero3), or the piece that
falls into this process's partition (zero1, zero2; some weights then have none here). The network computes with `live`
weights, which under DeepSpeed are copies in its own precision.
"""

from collections.abc import Container, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that train, by name."""
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}


def masters(module: nn.Module) -> dict[str, Tensor]:
    """This process's part of the float32 weights, flat where DeepSpeed keeps it flat; by name."""
    found = {name: _master(weight) for name, weight in trained(module).items()}
    return {name: part for name, part in found.items() if part is not None}


def write_masters(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Set what `masters` gives; the live weights of DeepSpeed follow only with `refresh`."""
    for name, weight in trained(module).items():
        if name not in values:
            continue
        if _is_zero3(weight):
            from deepspeed.utils import safe_set_local_fp32_param

            safe_set_local_fp32_param(weight, values[name])
        else:
            _existing(_master(weight)).copy_(values[name])


@torch.no_grad()
def full_weights(module: nn.Module, names: Container[str] | None = None) -> dict[str, Tensor]:
    """All weights or the named ones, whole, in float32 in the host's memory; every process calls it and gets them."""
    chosen = [(name, weight) for name, weight in _named(module) if names is None or name in names]
    return {name: _full(weight).detach().to("cpu", torch.float32, copy=True) for name, weight in chosen}


@torch.no_grad()
def write_full(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Set the float32 weights that train from whole ones; each process takes its part."""
    for name, weight in trained(module).items():
        value = values[name]
        if _is_zero(weight):
            from deepspeed.utils import safe_set_full_fp32_param

            safe_set_full_fp32_param(weight, value.to(weight.device))
        elif isinstance(weight, DTensor):
            from torch.distributed.tensor import distribute_tensor

            whole = value.to(weight.device)
            weight.copy_(distribute_tensor(whole, weight.device_mesh, weight.placements))
        else:
            weight.copy_(value)


@contextmanager
def swapped(module: nn.Module, values: Mapping[str, Tensor]) -> Generator[None]:
    """Inside the block the network computes with `values` (as `masters`); after it with exactly what it had before."""
    with torch.no_grad():
        before = {name: part.clone() for name, part in masters(module).items()}
        live = {name: part.clone() for name, part in _live(module).items()}
        write_masters(module, values)
        refresh(module)
    try:
        yield
    finally:
        reshard(module)
        with torch.no_grad():
            write_masters(module, before)
            for name, part in _live(module).items():
                part.copy_(live[name])
            gather_kept(module)


def reshard(module: nn.Module) -> None:
    """Let go of weights that FSDP keeps whole after a forward pass without a backward pass; elsewhere nothing."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


@torch.no_grad()
def refresh(module: nn.Module) -> None:
    """Copy DeepSpeed's float32 weights into those it computes with; elsewhere they are the same."""
    for weight in trained(module).values():
        if _is_zero3(weight):
            _flat(weight).copy_(_existing(_master(weight)))
        elif _is_zero(weight):
            weight.copy_(_full(weight))
    gather_kept(module)


def gather_kept(module: nn.Module) -> None:
    """Bring what ZeRO-3 keeps whole between steps (weights below a size) in line with the slices of all processes."""
    kept: list[Any] = [one for one in module.parameters() if _is_zero3(one) and getattr(one, "ds_persist", False)]
    if kept:
        kept[0].partition(kept, has_been_updated=False)
        kept[0].all_gather(kept)


def _live(module: nn.Module) -> dict[str, Tensor]:
    """What DeepSpeed computes with, this process's part."""
    zero = {name: weight for name, weight in trained(module).items() if _is_zero(weight)}
    return {name: _flat(weight) if _is_zero3(weight) else weight.detach() for name, weight in zero.items()}


def _named(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return list(module.named_parameters())


def _is_zero3(weight: nn.Parameter) -> bool:
    return hasattr(weight, "ds_id")


def _is_zero(weight: nn.Parameter) -> bool:
    return _is_zero3(weight) or hasattr(weight, "_hp_mapping")


def _flat(weight: nn.Parameter) -> Tensor:
    """The slice of a ZeRO-3 weight that this process holds."""
    return getattr(weight, "ds_tensor").detach()  # noqa: B009 - DeepSpeed adds the attribute at run time


def _master(weight: nn.Parameter) -> Tensor | None:
    if _is_zero3(weight):
        from deepspeed.utils import safe_get_local_fp32_param

        return safe_get_local_fp32_param(weight)
    if _is_zero(weight):
        mapping = getattr(weight, "_hp_mapping")  # noqa: B009
        return None if mapping is None else mapping.get_hp_fragment()
    return weight.to_local().detach() if isinstance(weight, DTensor) else weight.detach()


def _full(weight: nn.Parameter) -> Tensor:
    if _is_zero(weight) and weight.requires_grad:
        from deepspeed.utils import safe_get_full_fp32_param

        return _existing(safe_get_full_fp32_param(weight))
    if _is_zero3(weight):
        import deepspeed

        with deepspeed.zero.GatheredParameters([weight]):
            return weight.detach().clone()
    return weight.full_tensor() if isinstance(weight, DTensor) else weight


def _existing(part: Tensor | None) -> Tensor:
    if part is None:
        raise RuntimeError("a weight has no float32 master in this process, though it is asked for")
    return part
