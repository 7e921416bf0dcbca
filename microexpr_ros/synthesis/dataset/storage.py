"""Text and JSON files, and the checksums by which damaged files are found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from microexpr_ros.atomic import atomic_target

CHECKSUMS: Final = 'SHA256SUMS'
"""File beside those that it vouches for, in the format of `sha256sum`."""


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with atomic_target(path, replace=True) as hidden:
        hidden.write_text(text, 'utf-8')


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file."""
    write_text(path, json.dumps(content, indent=1) + '\n')


def write_checksums(folder: Path, names: Iterable[str]) -> None:
    """Write what the files of a folder have to be from now on."""
    lines = [f'{_digest(folder / name)}  {name}\n' for name in names]
    write_text(folder / CHECKSUMS, ''.join(lines))


def vouched(folder: Path) -> list[str]:
    """Return the files that a folder's checksums name; none if it has no checksums."""
    return [name for name, _ in _read_checksums(folder)]


def damaged(folder: Path) -> list[str]:
    """Return the files that are not what the folder's checksums say, or are not there."""
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
