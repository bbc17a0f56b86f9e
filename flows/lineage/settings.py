"""What the environment says of the ledger, of who hears of it, and of who and what a record tells.

EASEL_LEDGER        where the ledger lies: a folder or s3://BUCKET/PREFIX; default `ledger/` below EASEL_HOME
EASEL_LEDGER_LOCK_DAYS   how long objects of a ledger on S3 cannot be deleted (object lock); default 0: no lock
EASEL_LEDGER_KEY    the key that signs it: a PEM file outside the repository, the PEM text itself, or on a token:
`pkcs11:token=...;object=...?module-path=...&pin-source=file:...` (RFC 7512); default
$XDG_CONFIG_HOME/easel/ledger-key.pem (or ~/.config), made by `easel keys init` or the first run
EASEL_LEDGER_PIN, PKCS11_MODULE_PATH   its PIN (never stored or logged) and its library, where the URI gives none
EASEL_LEDGER_SIGNER, EASEL_LEDGER_PUBLIC_KEY   instead: a command that signs standard input (key services), and the
PEM file of its public key
EASEL_PROVIDER      the provider's statements for `easel audit summary`: a YAML file with the block `provider:`
EASEL_OPENLINEAGE_URL   a server that takes OpenLineage events of runs (Marquez and its like); default: they go to
`openlineage.jsonl` below EASEL_HOME
EASEL_OPENLINEAGE_API_KEY   its key, if it wants one; never stored or logged
EASEL_OPENLINEAGE_NAMESPACE   whose jobs and data sets these are, where one server hears of several workspaces;
default `easel`
EASEL_ASKED_BY      who asked for a run, for its records; default: the login
EASEL_IMAGE         the container image that this runs in, by its digest (NAME@sha256:...), for records
SLURM_JOB_ID, KUBERNETES_SERVICE_HOST, HOSTNAME   the job that a scheduler put this process in, for records
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from flows.settings import SettingsError, home


def asked_by() -> str:
    """Who asked for what runs here, where the environment says so; "" leaves it to the login."""
    return os.environ.get("EASEL_ASKED_BY", "").strip()


def container_image() -> str:
    """The container image that this process runs in, as whoever started it says; "" for none."""
    return os.environ.get("EASEL_IMAGE", "").strip()


def cluster_job() -> str:
    """The job of a scheduler that this process belongs to: `slurm:123`, `kubernetes:POD`; "" for none."""
    if number := os.environ.get("SLURM_JOB_ID"):
        return f"slurm:{number}"
    return f"kubernetes:{os.environ.get('HOSTNAME', '')}" if "KUBERNETES_SERVICE_HOST" in os.environ else ""


def ledger_place(root: Path) -> str:
    """The ledger's folder, or its address on S3."""
    place = os.environ.get("EASEL_LEDGER") or str(home(root) / "ledger")
    return place if place.startswith("s3://") else str(Path(place).absolute())


def provider_file() -> Path | None:
    """The file with the provider's statements; None if none is named."""
    file = os.environ.get("EASEL_PROVIDER")
    return Path(file) if file else None


def ledger_lock_days() -> int:
    """How many days objects of a ledger on S3 cannot be deleted.

    Raises:
        SettingsError: no such number.
    """
    days = os.environ.get("EASEL_LEDGER_LOCK_DAYS") or "0"
    if not days.isdecimal():
        raise SettingsError(f"EASEL_LEDGER_LOCK_DAYS is {days!r}; give a number of days, 0 for no lock")
    return int(days)


@dataclass(frozen=True)
class LedgerKey:
    """Who signs the ledger, as `keys` and `token_key` of `components.lineage` take it; `is_default`: nobody said."""

    file: Path | None = None
    pem: str | None = field(default=None, repr=False)
    command: str | None = None
    public: Path | None = None
    token: str | None = field(default=None, repr=False)
    pin: str | None = field(default=None, repr=False)
    module: str | None = None
    is_default: bool = False

    @staticmethod
    def default_file() -> Path:
        """Where a key lies that nobody named: in this person's settings folder."""
        return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "easel" / "ledger-key.pem"


def ledger_key() -> LedgerKey:
    """The key, key file, token or command that the environment names; else the default file, be it there or not."""
    command, key = os.environ.get("EASEL_LEDGER_SIGNER"), os.environ.get("EASEL_LEDGER_KEY")
    if command:
        public = os.environ.get("EASEL_LEDGER_PUBLIC_KEY")
        return LedgerKey(command=command, public=Path(public) if public else None)
    if key and key.lstrip()[:7].lower() == "pkcs11:":
        return LedgerKey(token=key, pin=os.environ.get("EASEL_LEDGER_PIN"), module=os.environ.get("PKCS11_MODULE_PATH"))
    if key:
        return LedgerKey(pem=key) if key.lstrip().startswith("-----BEGIN") else LedgerKey(file=Path(key))
    return LedgerKey(file=LedgerKey.default_file(), is_default=True)


def openlineage_url() -> str:
    """The server that OpenLineage events go to; "" for none."""
    return os.environ.get("EASEL_OPENLINEAGE_URL", "").strip()


def openlineage_api_key() -> str:
    """That server's key, "" for none."""
    return os.environ.get("EASEL_OPENLINEAGE_API_KEY", "").strip()


def openlineage_namespace() -> str:
    """What the names of jobs and data sets are unique in."""
    return os.environ.get("EASEL_OPENLINEAGE_NAMESPACE", "").strip() or "easel"


def openlineage_file(root: Path) -> Path:
    """Where OpenLineage events go without a server: one a line, of all builds of this workspace."""
    return home(root) / "openlineage.jsonl"
