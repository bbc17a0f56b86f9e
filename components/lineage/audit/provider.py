"""What only the provider can say, and no record holds: name, contact, terms, and how each source came here."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.lineage.audit.document import AuditError

Kind = Literal["public", "licensed", "private", "crawled", "user", "synthetic", "other"]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Said):
    """How one `source` of the catalogue came here.

    Args:
        kind: `public` data set, `licensed` by rights holders, another `private` data set, `crawled` from the web, from
            `user`s, `synthetic`, or `other`.
        title, address, collected, description: what it is called, where it is, from when to when it was gathered.
    """

    kind: Kind
    title: str = ""
    address: str = ""
    collected: str = ""
    description: str = ""


class Provider(_Said):
    """The block `provider:` of the file; "" and None mean that nothing is said."""

    name: str = ""
    contact: str = ""
    authorised_representative: str = ""
    summary_version: str = ""
    model_names: tuple[str, ...] = ()
    model_licence: str = ""
    placed_on_market: str = ""
    dependencies: str = ""
    image_content: str = ""
    text_content: str = ""
    latest_acquisition: str = ""
    linguistic_characteristics: str = ""
    other_characteristics: str = ""
    sources: dict[str, Source] = Field(default_factory=dict)
    used_crawlers: bool | None = None
    crawlers: str = ""
    used_prompts_of_users: bool | None = None
    used_data_of_other_services: bool | None = None
    services: str = ""
    signed_code_of_practice: bool | None = None
    rights_reservation_measures: str = ""
    copyright_policy: str = ""
    illegal_content_measures: str = ""
    intended_use: str = ""
    out_of_scope: str = ""
    limits_and_biases: str = ""
    carbon: str = ""


def read_provider(file: Path) -> Provider:
    """What the YAML file says under `provider:`.

    Raises:
        AuditError: it cannot be read, or names a field that there is not.
    """
    try:
        held: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise AuditError(f"{file}: {' '.join(str(error).split())}") from None
    if not isinstance(held, dict) or not isinstance(held.get("provider"), dict):
        raise AuditError(f"{file}: no block `provider:`; begin with `provider:` and, below it, `name: ...`")
    try:
        return Provider.model_validate(held["provider"])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        known = f"; allowed: {', '.join(Provider.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise AuditError(f"{file}: provider.{place}: {first['msg']}{known}") from None
