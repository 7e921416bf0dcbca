"""Checksums of a folder's files, by which damage to them is found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from microexpr_ros.atomic import write_text

CHECKSUMS: Final = 'SHA256SUMS'
"""File beside those whose checksums it lists, in the format of `sha256sum`."""


def write_checksums(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of files of a folder, as they are now."""
    lines = [f'{_digest(folder / name)}  {name}\n' for name in names]
    write_text(folder / CHECKSUMS, ''.join(lines))


def listed_files(folder: Path) -> list[str]:
    """Return the files that a folder's checksums list; none if it has no checksums."""
    return [name for name, _ in _read_checksums(folder)]


def damaged_files(folder: Path) -> list[str]:
    """Return the files that are missing or differ from the folder's checksums."""
    return [
        name
        for name, digest in _read_checksums(folder)
        if not (folder / name).is_file() or _digest(folder / name) != digest
    ]


def _read_checksums(folder: Path) -> list[tuple[str, str]]:
    """Return names and digests."""
    path = folder / CHECKSUMS
    lines = path.read_text('utf-8').splitlines() if path.is_file() else []
    pairs = [line.split(maxsplit=1) for line in lines]
    return [(name, digest) for digest, name in pairs]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
