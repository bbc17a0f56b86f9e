"""Files that hold many samples each: one item per file, read from its beginning to its end."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from components.data.readers.interface import Item, Outcome, ReadLimits, RefusedError, printable
from components.data.readers.stores import Store, Stored


class ShardReader(ABC):
    """Lists the files with one of `endings`, and reads each as a stream: one at a time."""

    endings: ClassVar[tuple[str, ...]]
    num_at_once = 1

    def __init__(self, store: Store, limits: ReadLimits) -> None:
        self._store, self._limits = store, limits

    def listing(self) -> Iterator[Item]:
        """Every file of this kind, also those that must be refused."""
        for file in self._store.listing():
            if file.key.lower().endswith(self.endings):
                yield Item(printable(file.key), file.fingerprint, file.size, file)

    def rows(self, item: Item) -> Iterator[Outcome]:
        """The samples of a file in its order, and what was refused of it."""
        if item.content.fault:
            raise RefusedError(item.key, item.content.fault)
        return self._rows(item.key, item.content)

    @abstractmethod
    def _rows(self, key: str, file: Stored) -> Iterator[Outcome]:
        """The outcomes of a file that may be opened; `key` names it."""
