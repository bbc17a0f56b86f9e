"""A ledger's store in memory: a copy of it can be changed a thousand times in seconds."""

from collections.abc import Mapping


class DictStore:
    """Values by name, of which none is replaced."""

    def __init__(self, values: Mapping[str, bytes] | None = None) -> None:
        self.values = dict(values or {})

    def changed(self, **values: bytes | None) -> "DictStore":
        """A copy with these values instead, without those that are None; for names that are no Python names, `**{}`."""
        return DictStore({name: data for name, data in {**self.values, **values}.items() if data is not None})

    def read(self, name: str) -> bytes | None:
        return self.values.get(name)

    def create(self, name: str, data: bytes) -> bool:
        if name in self.values:
            return False
        self.values[name] = data
        return True

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.values if name.startswith(prefix))
