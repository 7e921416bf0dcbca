"""Files and folders that appear as a whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from microexpr_ros.errors import MicroexprError


@contextmanager
def atomic_target(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a hidden path; what is written there gets the target's name when the block ends.

    An error leaves nothing behind, and readers of the target never find a part of it.

    Args:
        target: File or folder.
        replace: Whether an existing file of this name is replaced; of several writers the last
            one wins, and the folder around it must exist. Otherwise there must be no target yet
            and one writer at a time, and missing parents are created.

    Raises:
        MicroexprError: The target cannot be written, or `replace` is off and it is already there
            or another process is writing it.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     target = Path(folder, 'text')
        ...     for number in (1, 2):
        ...         with atomic_target(target, replace=True) as hidden:
        ...             _ = hidden.write_text(f'version {number}')
        ...     target.read_text()
        'version 2'
    """
    with _own_folder(target) if replace else _locked_folder(target) as folder:
        if not replace and target.exists():
            raise MicroexprError(f'{target} is already there: remove it or choose another name')
        yield folder / target.name
        with explain_write_errors(target):
            (folder / target.name).replace(target)


@contextmanager
def explain_write_errors(target: Path) -> Iterator[None]:
    """Turn errors of the disk into a MicroexprError that names what cannot be written.

    Raises:
        MicroexprError: Writing failed inside the block.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise MicroexprError(f'cannot write {target} ({error}): check disk and name') from error


@contextmanager
def _own_folder(target: Path) -> Iterator[Path]:
    """Yield a hidden folder beside the target that no other writer has."""
    with explain_write_errors(target):
        folder = Path(tempfile.mkdtemp(prefix=f'.{target.name}.', dir=target.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked_folder(target: Path) -> Iterator[Path]:
    """Yield a hidden folder beside the target, empty and locked until the block ends.

    The system releases the lock of a process that is killed, so that the next writer of this
    target can remove what it left.
    """
    locked = target.parent / f'.{target.name}.unfinished'
    folder = locked / 'content'
    with explain_write_errors(target):
        locked.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(locked, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MicroexprError(
                f'{target} is being written by another process: wait for it, '
                'or choose another name'
            ) from error
        try:
            with explain_write_errors(target):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(locked, ignore_errors=True)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file, in UTF-8, in place of one that may be there."""
    with atomic_target(path, replace=True) as hidden:
        hidden.write_text(text, 'utf-8')


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file, in place of one that may be there."""
    write_text(path, json.dumps(content, indent=1) + '\n')
