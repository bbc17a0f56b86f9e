"""Images in a folder, each with its words beside it: `a.jpg` with `a.txt`, `a.json`, `a.jpg.txt` or `a.jpg.json`."""

from collections.abc import Iterator
from hashlib import sha256

from components.data.readers.interface import (
    Item,
    Outcome,
    ReadLimits,
    Refusal,
    RefusedError,
    Sample,
    checked_image,
    checked_name,
    printable,
)
from components.data.readers.stores import Store, Stored
from components.data.readers.words import fields_of, words_of

IMAGE_ENDINGS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif")
WORD_ENDINGS = (".txt", ".json")
ARCHIVE_ENDINGS = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".zst")


class FolderReader:
    """One item per file that is not words; what is no image is refused by name."""

    num_at_once = 8

    def __init__(self, store: Store, limits: ReadLimits) -> None:
        self._store, self._limits = store, limits

    def listing(self) -> Iterator[Item]:
        """Every file but those that hold an image's words, which belong to the image's item."""
        files = list(self._store.listing())
        words = {file.key: file for file in files if file.ending in WORD_ENDINGS and not file.fault}
        for file in files:
            if file.ending in WORD_ENDINGS:
                continue
            beside = [words.get(stem + ending) for ending in WORD_ENDINGS for stem in (file.stem, file.key)]
            found = tuple(sidecar for sidecar in beside if sidecar)
            marks = "\n".join(one.fingerprint for one in (file, *found))
            fingerprint = sha256(marks.encode()).hexdigest()[:32] if found else file.fingerprint
            yield Item(printable(file.key), fingerprint, file.size, (file, found))

    def rows(self, item: Item) -> Iterator[Outcome]:
        """The image with its words, or why not."""
        file, sidecars = item.content
        fault = _fault_of(file)
        if fault:
            yield fault
            return
        image = checked_image(item.key, self._store.read(file, self._limits.max_image_bytes), self._limits)
        texts: dict[str, bytes] = {}
        for sidecar in sidecars:
            texts.setdefault(sidecar.ending, self._store.read(sidecar, self._limits.max_text_bytes))
        fields = fields_of(texts.get(".txt"), texts.get(".json"), file.stem, self._limits)
        words = words_of(fields, item.key, self._limits)
        yield Sample(item.key, image, words | {"folder": words["folder"] or file.folder or None})


def _fault_of(file: Stored) -> Refusal | None:
    try:
        checked_name(file.key)
    except RefusedError as error:
        return error.refusal
    if file.fault:
        return Refusal(file.key, file.fault, "only plain files are read")
    if file.ending in ARCHIVE_ENDINGS:
        return Refusal(file.key, "archive_inside", "an archive in a folder of images; unpack it, or land it by itself")
    if file.ending not in IMAGE_ENDINGS:
        return Refusal(file.key, "unknown_ending", f"{file.ending or 'none'}; read are {', '.join(IMAGE_ENDINGS)}")
    return None
