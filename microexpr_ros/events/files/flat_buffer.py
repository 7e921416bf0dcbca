"""Reading tables of FlatBuffers, without a schema: fields are given by their numbers.

https://flatbuffers.dev/internals describes the layout.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_OFFSET: Final = '<I'
_PREFIX_BYTES: Final = 4


class Table:
    """A table in a buffer.

    Each method raises ValueError where the buffer is damaged: where something lies outside it.

    Example:
        >>> data = bytes([12, 0, 0, 0, 6, 0, 8, 0, 4, 0, 0, 0, 8, 0, 0, 0, 42, 0, 0, 0])
        >>> Table.root(data).number(0, '<i')
        42
        >>> Table.root(data).number(1, '<i', -1)
        -1
    """

    def __init__(self, data: bytes, place: int) -> None:
        self._data = data
        self._place = place
        self._fields = place - self._unpack('<i', place)
        self._end = self._fields + self._unpack('<H', self._fields)

    @classmethod
    def root(cls, data: bytes, start: int = 0) -> Table:
        """Return the outermost table of a buffer that begins at `start`."""
        if len(data) < start + _PREFIX_BYTES:
            raise ValueError('a table is cut off')
        return cls(data, start + struct.unpack_from(_OFFSET, data, start)[0])

    @classmethod
    def root_behind_size(cls, data: bytes) -> Table:
        """Return the outermost table of a buffer that begins with its size."""
        if len(data) < _PREFIX_BYTES or struct.unpack_from(_OFFSET, data)[0] != len(data) - 4:
            raise ValueError('a table is not of the size that it says')
        return cls.root(data, _PREFIX_BYTES)

    def number(self, field: int, layout: str, default: int = 0) -> int:
        """Return a number, in the layout of `struct`; the default where it is not stored."""
        place = self._find(field)
        return default if place is None else self._unpack(layout, place)

    def text(self, field: int) -> str:
        """Return a text; it is empty where it is not stored."""
        return self.array(field, np.dtype('u1')).tobytes().decode()

    def length(self, field: int) -> int:
        """Return the number of items of a vector; 0 where it is not stored."""
        return self._vector(field, 0)[1]

    def array(self, field: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return a vector of numbers or of structs; it is empty where it is not stored."""
        start, count = self._vector(field, dtype.itemsize)
        return np.frombuffer(self._data, dtype, count, start) if count else np.empty(0, dtype)

    def tables(self, field: int) -> list[Table]:
        """Return a vector of tables; it is empty where it is not stored."""
        start, count = self._vector(field, _PREFIX_BYTES)
        places = range(start, start + count * _PREFIX_BYTES, _PREFIX_BYTES)
        return [Table(self._data, place + self._unpack(_OFFSET, place)) for place in places]

    def struct(self, field: int, layout: str) -> tuple[int, ...]:
        """Return the numbers of a struct; they are zeros where it is not stored."""
        place = self._find(field)
        size = struct.calcsize(layout)
        data = bytes(size) if place is None else self._slice(place, size)
        return struct.unpack(layout, data)

    def _find(self, field: int) -> int | None:
        slot = self._fields + 4 + 2 * field
        if slot + 2 > self._end:
            return None
        offset = self._unpack('<H', slot)
        return self._place + offset if offset else None

    def _vector(self, field: int, size: int) -> tuple[int, int]:
        """Return where the items of a vector begin, and their number."""
        place = self._find(field)
        if place is None:
            return 0, 0
        place += self._unpack(_OFFSET, place)
        count = self._unpack(_OFFSET, place)
        start = place + _PREFIX_BYTES
        if start + count * size > len(self._data):
            raise ValueError('a vector is cut off')
        return start, count

    def _slice(self, place: int, size: int) -> bytes:
        # A negative place would count from the end.
        if place < 0 or place + size > len(self._data):
            raise ValueError('a table is damaged')
        return self._data[place : place + size]

    def _unpack(self, layout: str, place: int) -> int:
        return int(struct.unpack(layout, self._slice(place, struct.calcsize(layout)))[0])
