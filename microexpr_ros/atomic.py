"""Files and folders that appear as a whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from microexpr_ros.errors import MicroexprError


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Give a hidden path; what is written there takes the target's name when the block ends.

    An error leaves nothing behind. What a process that was killed left, the next one to write
    the same target removes; two at a time are refused.

    Raises:
        MicroexprError: The target is there, or cannot be written.
    """
    folder = target.parent / f'.{target.name}.unfinished'
    content = folder / 'content'
    with _locked(folder, target):
        if target.exists():
            raise MicroexprError(f'{target} is already there: remove it or choose another name')
        with explained_writing(target):
            shutil.rmtree(content, ignore_errors=True)
            content.mkdir()
        yield content / target.name
        with explained_writing(target):
            (content / target.name).rename(target)


@contextmanager
def explained_writing(target: Path) -> Iterator[None]:
    """Tell in one line that a file or a bag cannot be written."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise MicroexprError(f'cannot write {target} ({error}): check disk and name') from error


@contextmanager
def _locked(folder: Path, target: Path) -> Iterator[None]:
    """Hold a folder, which is removed at the end; a process that ends lets go in any case."""
    with explained_writing(target):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MicroexprError(
                f'{target} is being written by another process: wait for it, '
                'or choose another name'
            ) from error
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
