"""Sources of images: one interface (`interface.Reader`), one file per kind, and the table of kinds.

`open_reader` takes a place: a folder or file of this machine, or s3://BUCKET/PREFIX. Every kind reads from both.
"""

from collections.abc import Callable, Collection, Mapping
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

from components.data.errors import DataError
from components.data.readers.download import Downloader
from components.data.readers.folder import IMAGE_ENDINGS, FolderReader
from components.data.readers.interface import Reader, ReadLimits
from components.data.readers.parquet import ParquetReader
from components.data.readers.stores import LocalStore, Store
from components.data.readers.urls import UrlReader
from components.data.readers.webdataset import WebDatasetReader

Kind = Literal["folder", "webdataset", "parquet", "urls"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_LOOKED_AT = 1000

READERS: Mapping[Kind, Callable[[Store, ReadLimits, Collection[str]], Reader]] = {
    "folder": lambda store, limits, _: FolderReader(store, limits),
    "webdataset": lambda store, limits, _: WebDatasetReader(store, limits),
    "parquet": lambda store, limits, _: ParquetReader(store, limits),
    "urls": lambda store, limits, private: UrlReader(store, limits, Downloader(limits, private)),
}


def open_store(place: str) -> Store:
    """The files at `place`; DataError for an address of a kind that no store reads."""
    if place.startswith("s3://"):
        from components.data.readers.s3 import S3Store  # boto3 takes a third of a second to import

        return S3Store(place)
    if "://" in place:
        raise DataError(f"{place}: a source is a folder, a file or s3://BUCKET/PREFIX; put web addresses into a .csv")
    return LocalStore(Path(place).resolve())


def open_reader(
    place: str,
    kind: Kind | None = None,
    limits: ReadLimits | None = None,
    *,
    allowed_private_hosts: Collection[str] = (),
) -> Reader:
    """The reader of `place`, whose kind is told by the names there if it is not given."""
    store = open_store(place)
    return READERS[kind or kind_of(store, place)](store, limits or ReadLimits(), allowed_private_hosts)


def kind_of(store: Store, place: str) -> Kind:
    """The only kind that the first thousand names allow; DataError if there are none or several."""
    endings = {file.ending for file in islice(store.listing(), _LOOKED_AT)}
    by_ending: dict[str, Kind] = {".tar": "webdataset", ".parquet": "parquet", ".csv": "urls"}
    found: set[Kind] = {by_ending[ending] for ending in endings if ending in by_ending}
    if endings & set(IMAGE_ENDINGS):
        found.add("folder")
    if len(found) != 1:
        seen = " and ".join(sorted(found)) if found else f"no known files ({', '.join(sorted(endings)) or 'empty'})"
        raise DataError(f"{place}: holds {seen}; say which with --kind {' | '.join(KINDS)}")
    return found.pop()
