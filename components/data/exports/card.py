"""The data card: a README whose front matter the Hugging Face hub and its viewers read."""

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from components.data.exports.credits import UNKNOWN, Credit, licences, plain


@dataclass(frozen=True)
class About:
    """What a description says of an export, whichever its layout."""

    name: str
    version: str
    description: str
    published: str
    languages: tuple[str, ...]
    split: str
    num_samples: int
    credits: tuple[Credit, ...]


def data_card(about: About, data_files: str, layout: str) -> str:
    """README.md: front matter, then what is here and under which licences."""
    front = {
        "pretty_name": about.name,
        **_licence(licences(about.credits)),
        "language": list(about.languages),
        "task_categories": ["text-to-image"],
        "size_categories": [size_category(about.num_samples)],
        "configs": [{"config_name": "default", "data_files": [{"split": about.split, "path": data_files}]}],
    }
    counts: dict[str, int] = {}
    for credit in about.credits:
        counts[credit.licence] = counts.get(credit.licence, 0) + credit.num_images
    lines = [f"- {plain(licence)}: {counts[licence]} images" for licence in sorted(counts)]
    body = [f"# {plain(about.name)}", "", plain(about.description), "", layout, "", "## Licences", "", *lines, ""]
    body += [
        "Makers and attributions are in [ATTRIBUTION.md](ATTRIBUTION.md); each sample carries its own as well.",
        "",
    ]
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n" + "\n".join(body)


def size_category(num_samples: int) -> str:
    """The hub's name for a size: `n<1K`, `1K<n<10K`, ... up to `n>1T`."""
    names = ["1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T"]
    for power, (low, high) in enumerate(zip(["", *names], [*names, ""], strict=True), start=3):
        if num_samples < 10**power:
            return f"{low}<n<{high}" if low else f"n<{high}"
    return "n>1T"


def _licence(names: Sequence[str]) -> dict[str, str]:
    if len(names) == 1 and names[0] != UNKNOWN:
        return {"license": names[0].lower()}
    return {
        "license": "other" if names != [UNKNOWN] else UNKNOWN,
        "license_name": "several",
        "license_link": "ATTRIBUTION.md",
    }
