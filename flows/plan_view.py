"""What `easel plan` prints. Memory is in GiB (2^30 bytes), files in GB (10^9), arithmetic in TFLOP (10^12)."""

from collections.abc import Mapping, Sequence
from dataclasses import fields

from rich.markup import escape
from rich.table import Table

from components.training.plan import (
    FRAGMENTED_FRAC,
    HOST_LINK_BYTES_PER_S,
    HOST_MEMORY_BYTES_PER_S,
    PROCESS_BYTES,
    RESERVED_BYTES,
    Plan,
)
from components.training.plan_memory import GIB, Memory
from flows.console import out
from flows.plan import StagePlan
from flows.settings import Profile


def show_plans(plans: Sequence[StagePlan], profile: Profile, utilisation: float) -> None:
    """Every stage, then the sum of them, then what all of it rests on."""
    for found in plans:
        show_stage(found)
    best = [found.best.speed for found in plans if found.best and found.best.speed]
    if len(best) == len(plans) > 1:
        hours, device_hours = sum(speed.hours for speed in best), sum(speed.device_hours for speed in best)
        spent = f"{duration(hours)}, {number(device_hours)} device hours"
        say(f"\n[bold]All {len(plans)} stages[/], as recommended: {spent}")
    show_assumptions(profile, utilisation)


def show_stage(found: StagePlan) -> None:
    """One stage: what it is, its memory under each sharding, its figures, and the verdict."""
    work = found.work
    say(
        f"\n[bold]{found.stage}[/]: {found.px} px, {count(work.parameters)} parameters, {work.image_tokens:,} image + "
        f"{work.text_tokens:,} text tokens, batch {work.batch_size:,}, {work.precision}, {found.num_images:,} images"
    )
    if work.frozen:
        say(f"{count(work.training)} of its weights train, {count(work.frozen)} do not")
    if found.shardings:
        show_memory(found.shardings)
    if found.layouts:
        say(f"side by side under [bold]{next(iter(found.layouts.values())).execution.strategy}[/]:")
        show_memory(found.layouts)
    basis = found.best or found.own
    if basis:
        show_figures(basis, found.encode_flops)
    show_verdict(found)


def show_memory(plans: Mapping[str, Plan]) -> None:
    """A row for each part, a column for each sharding, all at one micro-batch."""
    first = next(iter(plans.values()))
    kept = "with" if first.execution.activation_checkpointing else "without"
    say(f"memory of a device in GiB, {first.micro_batch} images at a time, {kept} activation checkpointing")
    table = Table("", *plans, box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for field in fields(Memory):
        sizes = [getattr(one.memory, field.name) for one in plans.values()]
        if field.name != "frozen" or any(sizes):
            table.add_row(field.name, *map(gib, sizes))
    table.add_row("[bold]total", *(f"[bold]{gib(one.memory.total)}" for one in plans.values()))
    if first.usable is not None:
        marks = ("[green]fits" if one.memory.total <= first.usable else "[red]too much" for one in plans.values())
        table.add_row(f"of {gib(first.usable)} usable", *marks)
    out.print(table)


def show_figures(basis: Plan, encode_flops: float) -> None:
    """Arithmetic, time, network, files and the host's memory of one setting."""
    speed, files = basis.speed, basis.files
    again = f" ({flop(basis.executed_flops)} with what is computed again)"
    line(
        "arithmetic",
        f"{flop(basis.model_flops)} an image{again if basis.executed_flops > basis.model_flops else ''}; "
        f"the frozen encoders {flop(encode_flops)}, once, as their output is cached",
    )
    if speed:
        line(
            "time",
            f"{number(speed.images_per_s)} images/s, {number(speed.seconds_per_update)} s an update, "
            f"{duration(speed.hours)}, {number(speed.device_hours)} device hours, MFU {speed.mfu:.1%}",
        )
    if speed and speed.network_bytes:
        line(
            "network",
            f"{number(speed.network_bytes / 1e9)} GB sent an update and device: hidden behind the arithmetic from "
            f"{number(speed.network_bytes_per_s / 1e9)} GB/s on",
        )
    line("files", f"checkpoint {gb(files.checkpoint)}, model (raw and average, float32) {gb(files.model)}")
    latents, texts = gb(files.latents_per_million), gb(files.texts_per_million)
    line("caches", f"{latents} for a million images' latents, {texts} for a million texts of this length")
    line("host memory", f"{gib(basis.host_bytes)} GiB a node")


def show_verdict(found: StagePlan) -> None:
    """Whether the profile's own setting fits, what would make it fit, and which setting is best."""
    own, best = found.own, found.best
    if own is None:
        line("profile", f"[red]cannot run[/]: {escape(found.problem)}")
    elif own.usable is None:
        line("profile", f"{setting(own)}: needs {gib(own.memory.total)} GiB (the profile says not what there is)")
    elif own.fits:
        left = f"{gib(own.usable - own.memory.total)} GiB of {gib(own.usable)} left"
        line("profile", f"{setting(own)}: [green]fits[/], {left}{speed_of(own)}")
    else:
        needs = f"needs {gib(own.memory.total)} of {gib(own.usable)} GiB a device, {gib(own.host_bytes)} GiB a host"
        line("profile", f"{setting(own)}: [red]does not fit[/], {needs}")
    if found.change:
        line("change", f"{found.change} makes it fit" if "no setting" not in found.change else found.change)
    if best is None:
        line("recommend", "[red]nothing fits on this profile[/]")
    elif best.usable is not None:
        line("recommend", f"{setting(best)}: {gib(best.usable - best.memory.total)} GiB left{speed_of(best)}")


def speed_of(found: Plan) -> str:
    """How fast a setting goes, for the end of a line."""
    return f", {number(found.speed.images_per_s)} images/s" if found.speed else ""


def setting(found: Plan) -> str:
    """The fields that a profile would hold."""
    run = found.execution
    offload = f", offload: {run.offload}" if run.offload != "none" else ""
    kept = f"activation_checkpointing: {str(run.activation_checkpointing).lower()}"
    passes = "1 forward pass" if found.accumulate == 1 else f"{found.accumulate} forward passes"
    return f"[bold]strategy: {run.strategy}{offload}, micro_batch: {found.micro_batch}, {kept}[/] ({passes} an update)"


def show_assumptions(profile: Profile, utilisation: float) -> None:
    """What the numbers rest on, and how far they can be trusted."""
    run = profile.execution
    peak = f"{run.peak_tflops:,.0f} TFLOP/s" if run.peak_tflops else "unknown"
    memory = f"{run.device_memory_gib:,.0f} GiB" if run.device_memory_gib else "unknown memory"
    say(f"\nAssumed, on {profile.name}: {run.num_nodes} x {run.devices} {run.accelerator} of {memory}, peak {peak}")
    line(
        "  speed",
        f"{utilisation:.0%} of the peak (--utilisation), which is an aim: the best published for a full training of a "
        "diffusion transformer of this class is about 12 % (SimpleTuner, FLUX.1 on 32 H100), for dense language models "
        "39 to 43 % (NeMo AutoModel, H100). Measure a hundred updates before buying time.",
    )
    line(
        "  time",
        "arithmetic, or the network where that takes longer; what is offloaded goes over "
        f"{HOST_LINK_BYTES_PER_S / 1e9:.0f} GB/s and is updated at {HOST_MEMORY_BYTES_PER_S / 1e9:.0f} GB/s of the "
        "host's memory. Validation, grids, checkpoints, restarts and encoding come on top.",
    )
    line(
        "  memory",
        f"eager mode; {gib(RESERVED_BYTES)} GiB of a GPU for its driver and {FRAGMENTED_FRAC:.0%} for fragmentation "
        f"are not usable, {gib(PROCESS_BYTES)} GiB of the host go to each process. One process agrees within 15 % with "
        "what torch allocated in updates on a CPU; ZeRO and FSDP follow the published rules, not yet measured on GPUs.",
    )


def count(weights: int) -> str:
    """Weights in billions or millions."""
    return f"{weights / 1e9:,.3f} B" if weights >= 1e9 else f"{weights / 1e6:,.2f} M"


def number(value: float) -> str:
    """Three digits, or all of a whole number's."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def duration(hours: float) -> str:
    """Hours, or minutes if there are few."""
    return f"{number(hours)} h" if hours >= 2 else f"{number(60 * hours)} min"


def flop(operations: float) -> str:
    """Operations as TFLOP, or GFLOP if they are few."""
    return f"{number(operations / 1e12)} TFLOP" if operations >= 1e11 else f"{number(operations / 1e9)} GFLOP"


def gib(size: float) -> str:
    """Bytes as GiB, without the unit."""
    return f"{size / GIB:,.1f}" if size >= GIB / 10 else f"{size / GIB:,.3f}"


def gb(size: float) -> str:
    """Bytes as GB or TB."""
    return f"{size / 1e12:,.1f} TB" if size >= 1e12 else f"{size / 1e9:,.3g} GB"


def line(name: str, text: str) -> None:
    """A value after its name."""
    say(f"[dim]{name:<12}[/]{text}")


def say(text: str) -> None:
    """A line that the terminal breaks, not we."""
    out.print(text, soft_wrap=True)
