"""Objects to bytes and back, and the record of how that was done.

The record is JSON text that the engine keeps with a table. It names the kind of keys and the
serializer, so that a table is refused by name before a byte of it is decoded wrongly.
"""

from __future__ import annotations

import codecs
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from rshelve._errors import ShelveError, error

Serializer: TypeAlias = Callable[[Any, int], Any]
Deserializer: TypeAlias = Callable[[bytes], Any]

_FORMAT = 1


def choose(serializer: Serializer | None, deserializer: Deserializer | None) -> tuple[Serializer, Deserializer]:
    """The pair to use: both of the given ones, or pickle's."""
    if serializer is None and deserializer is None:
        return pickle.dumps, pickle.loads
    if serializer is None or deserializer is None:
        raise ShelveError("serializer and deserializer must be defined together")
    return serializer, deserializer


def name_of(serializer: Serializer, deserializer: Deserializer) -> str:
    """The name under which the pair is recorded."""
    known = serializer is pickle.dumps and deserializer is pickle.loads
    return "pickle" if known else "custom"


def as_bytes(data: Any) -> bytes:
    """What a serializer returned, as bytes; text becomes UTF-8."""
    if type(data) is bytes:
        return data
    if isinstance(data, str):
        return data.encode("utf-8")
    try:
        return bytes(memoryview(data))
    except TypeError:
        kind = type(data).__name__
        raise TypeError(f"the serializer must return a bytes-like object or a str, not {kind}") from None


@dataclass(frozen=True)
class Record:
    """How a table's keys and values are stored."""

    key: str
    serializer: str
    keyencoding: str = "utf-8"

    @classmethod
    def of(cls, key: str, serializer: str, keyencoding: str) -> Record:
        """The record of a shelf that is being opened."""
        encoding = codecs.lookup(keyencoding).name if key == "str" else "utf-8"
        return cls(key, serializer, encoding)

    @classmethod
    def from_text(cls, text: str) -> Record:
        """Read the record that was kept with a table; none means raw bytes."""
        if not text:
            return RAW
        try:
            fields = json.loads(text)
            if fields["format"] > _FORMAT:
                raise error(f"the table was made by a later version of rshelve (format {fields['format']})")
            return cls(fields["key"], fields["serializer"], fields.get("keyencoding", "utf-8"))
        except (ValueError, KeyError, TypeError) as why:
            raise error(f"the table's record of its keys and values is unreadable: {text!r}") from why

    def to_text(self) -> str:
        """The text to keep with a new table."""
        fields = {
            "format": _FORMAT,
            "key": self.key,
            "keyencoding": self.keyencoding,
            "serializer": self.serializer,
        }
        return json.dumps(fields, sort_keys=True)

    def check(self, wanted: Record, table: str) -> None:
        """Refuse to read this table as `wanted`."""
        for option in ("key", "serializer", "keyencoding"):
            have, want = getattr(self, option), getattr(wanted, option)
            if have != want:
                raise error(f"table {table!r} was made with {option} {have!r}, and cannot be opened with {option} {want!r}")


RAW = Record("bytes", "raw")
"""The record of a table of plain bytes, as `rshelve.dbm` makes it."""
