"""Stage `register`: the exported directory as a version in MLflow's registry, known by the digest of its bytes."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field


class Params(BaseModel, frozen=True, extra="forbid"):
    """The registered model's name, and its name in the report."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    evaluated_as: str


@dataclass(frozen=True)
class Metrics:
    """The version that holds these bytes; `is_new` is 0 where they had been registered before."""

    version: int
    is_new: int


def register(p: Params, *, pipeline: Path, report: Path, receipt: Path) -> Metrics:
    """Register the export in MLflow, point the alias `candidate` at it, and keep the receipt."""
    import json
    from dataclasses import asdict

    from components.registry.card_sources import read_metrics
    from components.registry.hashes import verified_digest
    from components.registry.registration import register_directory
    from components.tracking import current_run
    from flows.provenance import provenance
    from flows.settings import EXPERIMENT, find_root

    run = current_run()
    if not run.uri:
        raise ValueError("register: there is no MLflow store outside a run; start it with `easel run` or `easel stage`")
    digest = verified_digest(pipeline)
    got = register_directory(
        pipeline,
        uri=run.uri,
        experiment=EXPERIMENT,
        source_run_id=run.run_id or None,
        name=p.name,
        digest=digest,
        tags={"easel.stage": "register", **provenance(find_root(Path.cwd()), pipeline)},
        metrics=read_metrics(report, p.evaluated_as),
    )
    run.set_tags({"easel.model_sha256": digest, "easel.model_version": f"{got.name}/{got.version}"})
    # `is_new` is about this call and not about the model, so it is no part of the receipt.
    content = {name: value for name, value in asdict(got).items() if name != "is_new"}
    receipt.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return Metrics(version=got.version, is_new=int(got.is_new))
