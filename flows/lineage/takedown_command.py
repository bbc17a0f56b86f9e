"""The command `easel takedown`. Heavy libraries are imported inside it, so that `--help` answers at once."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from flows.console import JSON, counted, fail, here, out, printable, remark

if TYPE_CHECKING:
    from components.lineage.takedown import Affected, Policy, Receipt
    from flows.lineage.takedown_work import Order
    from flows.lineage.takedowns import Done, Preview

takedown_app = typer.Typer()
_SHOWN, _SHOWN_NAMES = 20, 8
_OTHER_BYTES = "the same picture in other bytes is another image: --file with --near 6 finds it among the data here"
_POLICIES = ("keep", "retrain", "withdraw")


@takedown_app.command()
def takedown(
    file: Annotated[str, typer.Option(help="The image, as it was received.")] = "",
    sha256: Annotated[str, typer.Option(help="The SHA-256 of its bytes.")] = "",
    url: Annotated[str, typer.Option(help="The address that images were taken from.")] = "",
    creator: Annotated[str, typer.Option(help="All images by this creator, as the data name them.")] = "",
    source: Annotated[str, typer.Option(help="All images of this source.")] = "",
    near: Annotated[
        int | None, typer.Option(help="Near duplicates too: perceptual hashes within so many bits of 64.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with the receipt.")] = "",
    by: Annotated[str, typer.Option(help="Whose word it is; default: your login.")] = "",
    policy: Annotated[
        str, typer.Option(help="Models that drew an image: `keep`, `retrain` (the next run), `withdraw`.")
    ] = "retrain",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for a run that works here to end.")] = False,
    check: Annotated[Path | None, typer.Option(help="Check this receipt instead, offline.")] = None,
    key: Annotated[Path | None, typer.Option(help="With --check: the public key (PEM) that must have signed.")] = None,
    as_json: JSON = False,
) -> None:
    """Take images down: refuse them from now on, delete their bytes everywhere we hold them, and sign a receipt.

    The next `easel run` makes what was deleted anew, without them. A killed takedown goes on with the same command.
    `--policy withdraw` also takes every alias from versions that were trained on one; `easel promote` refuses these.

    Examples: `easel takedown --file photo.jpg --reason "asked by the owner"` ·
    `easel takedown --creator "A. Nonymous" --reason "licence withdrawn" --dry-run` ·
    `easel takedown --sha256 SHA256 --near 4 --reason "..." --yes` · `easel takedown --check receipt.json`
    """
    if check:
        _check(check, key, as_json=as_json)
        return
    order = _order({"file": file, "sha256": sha256, "url": url, "creator": creator, "source": source},
                   near, reason, by, policy)  # fmt: skip
    from flows.lineage.takedowns import preview, take_down

    root = here()
    if dry_run or not yes:
        found = preview(root, order.wish)
        if as_json and dry_run:
            _write_json(_preview_json(found))
        elif not as_json:
            _show_preview(found, _names_of_records(root), order.policy)
        if dry_run:
            return
        if as_json or not sys.stdin.isatty():
            fail("say --yes to take down without being asked, or --dry-run to see what would happen")
        if not typer.confirm(f"Take down {counted(len(found.matches), 'image')}?"):
            raise typer.Abort
    done = take_down(root, order, waits=wait)
    if as_json:
        _write_json(_done_json(done))
    else:
        _show_done(done, _names_of_records(root))


def _order(named: dict[str, str], near: int | None, reason: str, by: str, policy: str) -> "Order":
    given = [(method, value) for method, value in named.items() if value]
    if len(given) != 1:
        fail("say which images, in one way: --file, --sha256, --url, --creator or --source")
    if policy not in _POLICIES:
        fail(f"--policy {policy!r}: choose one of {', '.join(_POLICIES)}")
    from components.registry.decisions import said
    from flows.lineage.takedown_matches import Wish
    from flows.lineage.takedown_work import Order
    from flows.promote import person

    method: Any = given[0][0]
    value = str(Path(given[0][1]).absolute()) if method == "file" else given[0][1]
    wish: Wish = Wish(method, value.lower() if method == "sha256" else value, near)
    chosen: Any = policy
    known: Policy = chosen
    return Order(wish, said(reason, "reason"), person(by), known)


def _check(file: Path, key: Path | None, *, as_json: bool) -> None:
    from components.lineage.takedown import read_signed

    try:
        signed = read_signed(file.read_bytes(), key.read_bytes() if key else None)
    except (ValueError, OSError) as error:
        fail(f"{file}: {error}")
    if as_json:
        _write_json({"valid": True, "digest": signed.digest, "key_id": signed.key_id}
                    | {"receipt": signed.receipt.model_dump(mode="json")})  # fmt: skip
        return
    out.print(f"{file}: its signature holds (key {signed.key_id[:16]})", markup=False, soft_wrap=True)
    if not key:
        remark("the key came with the receipt; give --key with the platform's published key to know whose it is")
    _show_receipt(signed.receipt)


def _show_preview(found: "Preview", names: Mapping[str, str], policy: str) -> None:
    if not found.was_seen:
        out.print("No image that this means was ever seen here; it would be put on the opt-out list.")
        remark(_OTHER_BYTES)
        return
    table = Table("image", "found by", "distance", "source", "name", "creator", box=None, pad_edge=False)
    for one in found.matches[:_SHOWN]:
        shown = (one.sample_id[:12], one.method, one.distance, one.source, one.title_en or one.source_id, one.creator)
        table.add_row(*(printable(cell) for cell in shown))
    out.print(table)
    if len(found.matches) > _SHOWN:
        out.print(f"... and {len(found.matches) - _SHOWN:,} more")
    plan = found.plan
    _line("Raw", ", ".join(plan.raw) or "none")
    _line("Outputs", ", ".join(plan.outputs) or "none")
    for place, objects in plan.places.items():
        _line("Objects", f"{len(objects):,} in DVC's {place}")
    _show_affected(found.affected, names)
    if policy == "withdraw" and (drawn := _drawn(found.affected)):
        _line("Withdraws", f"{', '.join(drawn)}: every alias of theirs, and `easel promote` refuses them")


def _drawn(affected: "Affected") -> list[str]:
    return [name for name in affected.models if name not in affected.offered_only]


def _show_done(done: "Done", names: Mapping[str, str]) -> None:
    receipt = done.signed.receipt
    if not done.is_new:
        out.print("Taken down already; nothing was done.")
    elif receipt.was_seen:
        out.print(f"Taken down: {counted(len(receipt.matches), 'image')}.")
    else:
        out.print("No image that this means was ever seen here; it is on the opt-out list now.")
        remark(_OTHER_BYTES)
    _show_receipt(receipt, names)
    _line("Receipt", done.file)
    if done.proofs:
        _line("Proofs", f"{done.proofs} (that no sample set holds it)")
    if done.is_new and receipt.withdrawn:
        remark("nothing takes the place of what was withdrawn; `easel run` makes a model, `easel promote` a champion")
    elif done.is_new and receipt.affected.aliases:
        remark(f"{', '.join(receipt.affected.aliases)}: live models saw an image; `easel run` makes one that did not")
    if done.is_new and receipt.request.method in ("creator", "source"):
        remark(f"images of this {receipt.request.method} that come later are new images; ask again when there are any")
    if done.is_new:
        out.print("Keep       git commit data.dvc params.yaml infra")


def _show_receipt(receipt: "Receipt", names: Mapping[str, str] | None = None) -> None:
    for one in receipt.deleted:
        _line(one.kind.capitalize(), f"{one.place}: {counted(len(one.names), 'file')}, {one.size:,} bytes")
    _show_affected(receipt.affected, names or {})
    if receipt.withdrawn:
        _line("Withdrawn", ", ".join(receipt.withdrawn))
    for left in receipt.left:
        _line("Not here", f"{left.place}: {left.why}")


def _line(label: str, told: object) -> None:
    """What a receipt or the data tell, which may be a stranger's, on one line that no terminal obeys."""
    out.print(f"{label:10} {printable(told)}", soft_wrap=True)


def _show_affected(affected: "Affected", names: Mapping[str, str]) -> None:
    rows = (
        ("Data sets", affected.datasets), ("Runs", affected.runs),
        ("Drawn by", _drawn(affected)), ("Offered to", affected.offered_only), ("Aliases", affected.aliases),
    )  # fmt: skip
    for label, ids in rows:
        if ids:
            more = f" and {len(ids) - _SHOWN_NAMES} more" if len(ids) > _SHOWN_NAMES else ""
            shown = ", ".join(names.get(one, one[:24]) for one in ids[:_SHOWN_NAMES])
            _line(label, f"{shown}{more}")
    if affected.derived:
        _line("Derived", ", ".join(f"{count:,} {kind}" for kind, count in affected.derived.items()))


def _names_of_records(root: Path) -> dict[str, str]:
    """What people call the ledger's records, and the MLflow runs behind them: the stage, and how the id begins."""
    from flows.lineage.ledger import open_ledger

    found = dict[str, str]()
    for _, record in open_ledger(root).records():
        for one in filter(None, (record.id, record.systems.get("mlflow_run"))):
            found[one] = f"{record.subject} ({one[:8]})"
    return found


def _preview_json(found: "Preview") -> dict[str, Any]:
    return {
        "was_seen": found.was_seen,
        "matches": [asdict(one) for one in found.matches],
        "affected": found.affected.model_dump(mode="json"),
        "plan": asdict(found.plan),
    }


def _done_json(done: "Done") -> dict[str, Any]:
    return {
        "is_new": done.is_new,
        "file": str(done.file),
        "proofs": str(done.proofs) if done.proofs else None,
        "digest": done.signed.digest,
        "receipt": done.signed.receipt.model_dump(mode="json"),
    }


def _write_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
