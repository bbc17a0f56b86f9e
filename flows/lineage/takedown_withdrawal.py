"""The policy `withdraw`, carried out: versions whose training drew an image lose their aliases."""

import json

from flows import settings
from flows.lineage.decision_records import evidence, keep_decision
from flows.lineage.takedown_work import Work
from flows.lineage.withdrawals import WITHDRAW
from flows.promote import deciding, now
from flows.reports import write_durably


def policies(work: Work) -> dict[str, str]:
    """What becomes of each version that was affected; one that was only offered an image learned nothing from it."""
    affected, policy = work.affected, str(work.note["policy"])
    spared = set(affected.offered_only) if policy == WITHDRAW else set[str]()
    return {version: "keep" if version in spared else policy for version in affected.models}


def withdraw_models(work: Work) -> None:
    """Take the aliases from the versions that are to be withdrawn; first noted, so that a kill forgets none."""
    numbers = dict[str, set[int]]()
    for version in (version for version, policy in policies(work).items() if policy == WITHDRAW):
        name, _, number = version.rpartition(":")
        numbers.setdefault(name, set()).add(int(number))
    if not numbers:
        return
    settings.go_quiet()
    from components.registry.withdrawal import live_aliases, withdraw

    uri, why = settings.tracking_uri(work.root), f"takedown: {work.note['reason']}"
    with deciding(work.root):
        live = {f"{name}:{alias}" for name in numbers for alias in live_aliases(uri, name, numbers[name])}
        work.note["withdrawn"] = sorted({*work.note["withdrawn"], *live})
        write_durably(work.noted, json.dumps(work.note, indent=2) + "\n")
        for name in sorted(numbers):
            decision = withdraw(uri, name, numbers[name], reason=why, by=work.note["by"], at=now())
            if decision is not None:
                basis = evidence(work.root, name, decision.before or 0, decision.digest)
                keep_decision(work.root, name, decision, "withdrawn", basis)
