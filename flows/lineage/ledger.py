"""Which ledger this workspace writes to and who signs it: `settings` says where, `components.lineage` does it."""

from pathlib import Path
from typing import TYPE_CHECKING

from flows import settings
from flows.console import remark
from flows.lineage.settings import ledger_key, ledger_lock_days, ledger_place

if TYPE_CHECKING:
    from components.lineage.keys import Signer
    from components.lineage.log import Ledger
    from components.lineage.store import Store


def open_ledger(root: Path, *, to_write: bool = False) -> "Ledger":
    """The ledger of a workspace.

    Args:
        root: of the workspace.
        to_write: with the key that signs; the very first time, if no key is set and none exists, one is made.

    Raises:
        LedgerError: no key, or none that can sign; an address that is none.
    """
    from components.lineage.log import Ledger

    return Ledger(open_store(root), signer(root, make=True) if to_write else None)


def open_store(root: Path) -> "Store":
    """Where the ledger's bytes lie: EASEL_LEDGER, or a folder below EASEL_HOME.

    Raises:
        LedgerError: an address that is none.
    """
    place = ledger_place(root)
    if place.startswith("s3://"):
        from components.lineage.s3_store import S3Store

        return S3Store(place, lock_days=ledger_lock_days())
    from components.lineage.errors import LedgerError
    from components.lineage.store import FolderStore

    if Path(place).exists() and not Path(place).is_dir():
        raise LedgerError(f"{place}: a file, and no ledger; set EASEL_LEDGER to a folder or to s3://BUCKET/PREFIX")
    return FolderStore(Path(place))


def signer(root: Path, *, make: bool = False) -> "Signer":
    """Who signs: the command, the token's key, the key text or the key file that the environment names, or the default.

    Raises:
        LedgerError: there is no such key, or it lies in the repository.
    """
    from components.lineage.errors import LedgerError
    from components.lineage.keys import load_signer, make_key

    found = ledger_key()
    if found.token:
        from components.lineage.token_key import load_token_signer

        return load_token_signer(found.token, pin=found.pin, module=found.module)
    if found.file and found.file.resolve().is_relative_to(root.resolve()):
        raise LedgerError(f"{found.file}: lies in the repository; keep keys elsewhere")
    if make and found.is_default and found.file and not found.file.exists():
        if open_store(root).names("heads/"):
            raise LedgerError(
                f"{found.file}: the ledger's key is not there; bring it back, "
                "or `easel keys init` makes a new one (earlier heads stay valid)"
            )
        made = make_key(found.file)
        remark(f"made the ledger's signing key {found.file} (id {made.key_id[:16]}); keep a copy of it elsewhere")
        return made
    return load_signer(file=found.file, pem=found.pem, command=found.command, public=found.public)


def index_file(root: Path) -> Path:
    """The query index, which is derived from the ledger and may be deleted."""
    return settings.home(root) / "ledger-index.duckdb"
