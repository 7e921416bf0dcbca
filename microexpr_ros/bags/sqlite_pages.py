"""Rows of a sqlite3 file read from its pages, where SQLite refuses the file.

The layout is that of https://www.sqlite.org/fileformat2.html, sections 1.3 to 2.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

_HEADER: Final = struct.Struct('>16sHBBBBBBII')
_HEADER_BYTES: Final = 100
_LEAF: Final = struct.Struct('>BHHHB')
_LEAF_OF_TABLE: Final = 0x0D
_POINTER: Final = struct.Struct('>H')
_PAGE_NUMBER: Final = struct.Struct('>I')
_PAGE_SIZES: Final = tuple(1 << power for power in range(9, 17))
_USUAL_PAGE: Final = 4096

_INTEGERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}
"""Bytes of an integer by its serial type; the last two are the numbers 0 and 1."""

_FIRST_BLOB: Final = 12
_FIRST_TEXT: Final = 13
_VARINT_BYTES: Final = 9


@dataclass(frozen=True, slots=True)
class Column:
    """Where in a row a value is.

    Attributes:
        kind: serial type of the value.
        start: place of its first byte in the row.
        end: place behind its last byte.
    """

    kind: int
    start: int
    end: int

    @property
    def is_null(self) -> bool:
        """Whether it is NULL, as the column that repeats the row's number."""
        return self.kind == 0

    @property
    def is_integer(self) -> bool:
        """Whether it is an integer."""
        return self.kind in _INTEGERS

    @property
    def is_blob(self) -> bool:
        """Whether it is a blob."""
        return self.kind >= _FIRST_BLOB and self.kind % 2 == 0

    @property
    def is_text(self) -> bool:
        """Whether it is text."""
        return self.kind >= _FIRST_TEXT and self.kind % 2 == 1

    def integer(self, row: bytes) -> int:
        """Return the integer in the bytes of a row."""
        if not _INTEGERS[self.kind]:
            return self.kind - 8
        return int.from_bytes(row[self.start : self.end], 'big', signed=True)


@dataclass(frozen=True, slots=True)
class Row:
    """A row in a page of a table.

    Attributes:
        number: its rowid.
        place: where in the file its first bytes are.
        local: how many of its bytes are there; the others are in overflow pages.
        size: all of its bytes.
        overflow: number of the first overflow page; 0 if there is none.
        columns: its values.
    """

    number: int
    place: int
    local: int
    size: int
    overflow: int
    columns: tuple[Column, ...]


class SqlitePages:
    """The pages of a file.

    Attributes:
        count: number of pages in the file; the last one may be cut.
        declared: number of pages by the file's header; 0 if it does not tell.
    """

    def __init__(self, header: bytes, size: int) -> None:
        """Take the size of the pages from a file's header.

        Args:
            header: First bytes of the file.
            size: Bytes of the file.
        """
        page_bytes, reserved, self.declared = _USUAL_PAGE, 0, 0
        if len(header) >= _HEADER.size:
            _, page_bytes, _, _, reserved, *_, self.declared = _HEADER.unpack_from(header)
        # The size 65536 is stored as 1.
        page_bytes = 1 << 16 if page_bytes == 1 else page_bytes
        self._page_bytes = page_bytes if page_bytes in _PAGE_SIZES else _USUAL_PAGE
        self._usable = self._page_bytes - reserved
        self._size = size
        self.count = -(-size // self._page_bytes)

    def rows(self, file: BinaryIO) -> Iterator[tuple[Row, bytes]]:
        """Yield the rows of all tables, with their local bytes, in the order of the pages."""
        for page in range(self.count):
            begin = page * self._page_bytes
            file.seek(begin)
            data = file.read(self._page_bytes)
            header = _HEADER_BYTES if page == 0 else 0
            if len(data) < header + _LEAF.size or data[header] != _LEAF_OF_TABLE:
                continue
            _, _, cells, _, _ = _LEAF.unpack_from(data, header)
            newest = -1
            for index in range(cells):
                try:
                    row, local = self._row(data, begin, header + _LEAF.size + 2 * index)
                except (IndexError, ValueError, struct.error):
                    continue
                # Rows are in order; one that is not has a damaged number.
                if row.number > newest:
                    newest = row.number
                    yield row, local

    def payload(self, file: BinaryIO, row: Row) -> bytes:
        """Return all bytes of a row.

        Raises:
            ValueError: A page of it is cut off or damaged.
        """
        file.seek(row.place)
        data = bytearray(file.read(row.local))
        page = row.overflow
        while len(data) < row.size:
            if not 0 < page <= self.count:
                raise ValueError('a page of it is missing')
            file.seek((page - 1) * self._page_bytes)
            content = file.read(self._usable)
            if len(content) < min(self._usable, 4 + row.size - len(data)):
                raise ValueError('a page of it is cut off')
            (page,) = _PAGE_NUMBER.unpack_from(content)
            data += content[4:]
        return bytes(data[: row.size])

    def _row(self, page: bytes, begin: int, pointer: int) -> tuple[Row, bytes]:
        (place,) = _POINTER.unpack_from(page, pointer)
        size, place = _varint(page, place)
        number, place = _varint(page, place)
        local = self._local(size)
        data = page[place : place + local]
        if size > self._size or len(data) < local or number < 0:
            raise ValueError('the row is damaged')
        overflow = 0
        if local < size:
            (overflow,) = _PAGE_NUMBER.unpack_from(page, place + local)
        return Row(number, begin + place, local, size, overflow, _columns(data, size)), data

    def _local(self, size: int) -> int:
        """Return how many bytes of a row are in its own page."""
        most = self._usable - 35
        if size <= most:
            return size
        least = (self._usable - 12) * 32 // 255 - 23
        fitting = least + (size - least) % (self._usable - 4)
        return fitting if fitting <= most else least


def _columns(row: bytes, size: int) -> tuple[Column, ...]:
    header, place = _varint(row, 0)
    columns = []
    start = header
    while place < header:
        kind, place = _varint(row, place)
        if kind >= _FIRST_BLOB:
            length = (kind - _FIRST_BLOB) // 2
        else:
            length = _INTEGERS.get(kind, 8 if kind == 7 else 0)
        columns.append(Column(kind, start, start + length))
        start += length
    if place != header or start != size:
        raise ValueError('the row is damaged')
    return tuple(columns)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return the variable-length integer at a place, and the place behind it."""
    value = 0
    for index in range(_VARINT_BYTES):
        byte = data[place + index]
        if index == _VARINT_BYTES - 1:
            value = value << 8 | byte
            break
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value - (1 << 64) if value >= 1 << 63 else value, place + index + 1
