"""Tokens in software, behind a real PKCS#11 module: SoftHSM 2, whose tokens are folders."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

_PLACES = ("/usr/lib/softhsm", "/usr/lib/x86_64-linux-gnu/softhsm", "/usr/lib/aarch64-linux-gnu/softhsm", "/usr/lib64")
MODULE = next((file for place in _PLACES if (file := Path(place, "libsofthsm2.so")).is_file()), None)
if not shutil.which("softhsm2-util"):
    MODULE = None
PIN = "83417226"
"""Of every token; long, so that it is found wherever it leaks."""


class SoftHsm:
    """The tokens in one folder. A process sees those that stood there when it first used the module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tokens"
        self.folder.mkdir()
        self.settings = folder / "softhsm2.conf"
        self.settings.write_text(
            f"directories.tokendir = {self.folder}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        self.environment = {"SOFTHSM2_CONF": str(self.settings)}

    def make_token(self, label: str) -> Path:
        """A new token; returns its folder."""
        before = set(self.folder.iterdir())
        self._run("--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", PIN)
        return (set(self.folder.iterdir()) - before).pop()

    def put(self, token: str, label: str, key_id: str, pem: Path) -> None:
        """Both halves of a key pair, from a PKCS#8 file, onto a token."""
        where = ("--import", str(pem), "--token", token, "--pin", PIN)
        self._run(*where, "--label", label, "--id", key_id)

    def _run(self, *arguments: str) -> None:
        command = ["softhsm2-util", *arguments]
        subprocess.run(command, env=os.environ | self.environment, capture_output=True, check=True)


def key_uri(path: str, **query: str) -> str:
    """The URI of a key, `path` being `token=...;object=...`, reached by SoftHSM's module."""
    asked = {"module_path": str(MODULE)} | query
    told = "&".join(f"{name.replace('_', '-')}={quote(value, safe='/:')}" for name, value in asked.items())
    return f"pkcs11:{path}?{told}"
