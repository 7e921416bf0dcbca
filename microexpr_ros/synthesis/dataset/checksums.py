"""Checksums of a folder's files, by which damage to them is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from microexpr_ros.atomic import write_text

CHECKSUMS: Final = 'SHA256SUMS'
"""File beside those whose checksums it lists, in the format of `sha256sum`."""


def write_checksums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of files of a folder, as they are now."""
    write_text(
        folder / CHECKSUMS, format_checksums({name: _digest(folder / name) for name in names})
    )


def format_checksums(digests: Mapping[str, str]) -> str:
    """Return the text of a file of checksums."""
    return ''.join(f'{digest}  {name}\n' for name, digest in digests.items())


def parse_checksums(text: str) -> dict[str, str]:
    """Return what `format_checksums` was given."""
    pairs = [line.split(maxsplit=1) for line in text.splitlines()]
    return {name: digest for digest, name in pairs}


def listed_files(folder: Path) -> list[str]:
    """Return the files that a folder's checksums list; none if it has no checksums."""
    return list(_read_checksums(folder))


def damaged_files(folder: Path) -> list[str]:
    """Return the files that are missing or differ from the folder's checksums."""
    return [
        name
        for name, digest in _read_checksums(folder).items()
        if not (folder / name).is_file() or _digest(folder / name) != digest
    ]


def _read_checksums(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS
    return parse_checksums(path.read_text('utf-8')) if path.is_file() else {}


def _digest(path: Path) -> str:
    return digest_of(path.read_bytes())


def digest_of(content: bytes) -> str:
    """Return the checksum of a file's content."""
    return hashlib.sha256(content).hexdigest()
