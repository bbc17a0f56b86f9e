"""Licences as SPDX licence expressions (SPDX 3.0.1, annex "SPDX license expressions").

A name that is no identifier of SPDX becomes a `LicenseRef-...`, which says that somebody has to read it.
"""

import re
from collections.abc import Iterable

NO_ASSERTION = "NOASSERTION"
_COMMONS = ("BY", "BY-NC", "BY-NC-ND", "BY-NC-SA", "BY-ND", "BY-SA")
KNOWN = {
    name.lower(): name
    for name in (
        *(f"CC-{terms}-{version}" for terms in _COMMONS for version in ("1.0", "2.0", "2.5", "3.0", "4.0")),
        *("CC-PDDC", "CC0-1.0", "PDDL-1.0", "ODC-By-1.0", "ODbL-1.0", "CDLA-Permissive-1.0", "CDLA-Permissive-2.0"),
        *("CDLA-Sharing-1.0", "OGL-UK-3.0", "etalab-2.0", "OFL-1.1", "GFDL-1.2-or-later", "GFDL-1.3-or-later"),
        *(f"{name}-{end}" for name in ("AGPL-3.0", "GPL-2.0", "GPL-3.0") for end in ("only", "or-later")),
        *(f"LGPL-{name}-{end}" for name in ("2.1", "3.0") for end in ("only", "or-later")),
        *("0BSD", "Apache-2.0", "Artistic-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "EPL-2.0", "ISC", "MIT"),
        *("MIT-0", "MPL-2.0", "Unlicense", "WTFPL", "Zlib"),
    )
}
"""Identifiers that SPDX lists, by how they look in small letters: those that images, fonts and code come with."""
_COMMONS_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?creativecommons\.org/(licenses|publicdomain)/([a-z-]+)/(\d\.\d)"
    r"/?(?:(?:deed|legalcode)(?:\.[a-z-]+)?)?/?(?:[?#].*)?"
)
"""How web pages name a Creative Commons licence, in any language; a country after the version is another licence."""
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
    if commons := _COMMONS_ADDRESS.fullmatch(word):
        kind, terms, version = commons.groups()
        word = f"cc-{terms}-{version}" if kind == "licenses" else f"cc0-{version}" if terms == "zero" else word
    if found := KNOWN.get(word) or _OTHER_WORDS.get(word):
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
