"""Licences as SPDX licence expressions (SPDX 3.0.1, annex "SPDX license expressions").

A name that is no identifier of SPDX becomes a `LicenseRef-...`, which says that somebody has to read it.
"""

import re
from collections.abc import Iterable

NO_ASSERTION = "NOASSERTION"
_KNOWN = {
    name.lower(): name
    for name in (
        *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-2.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0"),
        *("CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "CC-PDDC", "CC0-1.0", "GPL-2.0-only", "GPL-3.0-only"),
        *("ISC", "LGPL-2.1-only", "MIT", "MPL-2.0", "OFL-1.1", "Unlicense"),
    )
}
_OTHER_WORDS = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "cc by 4.0": "CC-BY-4.0",
    "cc0": "CC0-1.0",
    "cc0 1.0": "CC0-1.0",
    "mit license": "MIT",
    "public domain": "LicenseRef-public-domain",
    "": "LicenseRef-unknown",
    "unknown": "LicenseRef-unknown",
}
MAX_NAME_CHARS = 60


def spdx_identifier(licence: str) -> str:
    """The SPDX identifier of a licence as somebody wrote it; `LicenseRef-...` for what SPDX does not list."""
    word = licence.strip().lower()
    if found := _KNOWN.get(word) or _OTHER_WORDS.get(word):
        return found
    name = re.sub(r"[^A-Za-z0-9.]+", "-", licence.removeprefix("LicenseRef-")).strip("-.")[:MAX_NAME_CHARS]
    return f"LicenseRef-{name or 'unknown'}"


def expression(licences: Iterable[str]) -> str:
    """All of them at once (`A AND B`), each once, by name; NOASSERTION for none."""
    return " AND ".join(sorted({spdx_identifier(one) for one in licences})) or NO_ASSERTION


def address(licence: str) -> str:
    """The page of a licence that SPDX lists, else its `LicenseRef-...`."""
    found = spdx_identifier(licence)
    return found if found.startswith("LicenseRef-") else f"https://spdx.org/licenses/{found}.html"
