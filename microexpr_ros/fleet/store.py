"""Recordings and results in stores: this machine's disk, s3, gs, http and others of fsspec."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from microexpr_ros.atomic import atomic_target
from microexpr_ros.errors import MicroexprError

_BLOCK: Final = 1 << 20
_CHANGING: Final = (
    *('ETag', 'etag', 'md5Hash', 'Content-MD5', 'Digest'),
    *('LastModified', 'last_modified', 'Last-Modified', 'mtime', 'modified'),
)
"""What changes with the content of a file; each kind of store has some of them."""

_ONE_PUT: Final = 1 << 31
"""Half of the largest result that S3 is given in one piece."""


@dataclass(frozen=True, slots=True)
class Source:
    """A recording in a store.

    Attributes:
        address: its path, or its URL.
        mark: changes when its content does, as far as the store knows without reading it.
    """

    address: str
    mark: str


class Store:
    """A folder of results.

    Args:
        address: path, or URL such as s3://bucket/folder.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip('/')
        self._files, self._root = _open(self.address)

    def names(self, folder: str = '') -> set[str]:
        """Return the names of the files in the folder, or in one in it; none if it is missing."""
        with explain_store_errors(self.address):
            # What another process wrote is not in the listing that is remembered.
            self._files.invalidate_cache()
            try:
                found = self._files.ls(f'{self._root}/{folder}'.rstrip('/'), detail=False)
            except FileNotFoundError:
                return set()
        return {str(path).rsplit('/', 1)[-1] for path in found}

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with explain_store_errors(f'{self.address}/{name}'):
            content: bytes = self._files.cat_file(f'{self._root}/{name}')
            return content

    def open(self, name: str) -> Any:
        """Open a file, of which only what is asked for is read."""
        return self._files.open(f'{self._root}/{name}', 'rb')

    def write(self, name: str, content: bytes) -> None:
        """Write a file, which appears as a whole: by a single PUT, or by renaming it."""
        path = f'{self._root}/{name}'
        if is_local(self._files):
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_target(target, replace=True) as hidden:
                hidden.write_bytes(content)
            return
        options = {'chunksize': _ONE_PUT} if 's3' in _protocols(self._files) else {}
        with explain_store_errors(f'{self.address}/{name}'):
            self._files.pipe_file(path, content, **options)

    def remove(self, name: str) -> None:
        """Remove a file that may be missing."""
        with explain_store_errors(f'{self.address}/{name}'):
            try:
                self._files.rm_file(f'{self._root}/{name}')
            except FileNotFoundError:
                return


def require_store(*modules: str) -> None:
    """Check that stores can be used, and that other modules are installed.

    Raises:
        MicroexprError: One is not.
    """
    for module in ('fsspec', *modules):
        if find_spec(module) is None:
            raise MicroexprError(
                f'fleets need {module}, which is not installed: pip install -r '
                'requirements/fleet.txt -r requirements/parquet.txt'
            )


def is_address(text: str) -> bool:
    """Return whether a text is an URL or a pattern, which only fleets take.

    Example:
        >>> is_address('s3://fleet/**/*.mcap'), is_address('face.raw')
        (True, False)
    """
    return '://' in text or (any(sign in text for sign in '*?[') and not Path(text).exists())


def find_recordings(patterns: Sequence[str]) -> list[Source]:
    """Return the recordings that paths, URLs and patterns name, each once, sorted.

    Raises:
        MicroexprError: A pattern names none, or a store cannot be read.
    """
    found: dict[str, Source] = {}
    for pattern in patterns:
        files, path = _open(pattern)
        with explain_store_errors(pattern):
            paths = files.glob(path) if any(sign in path for sign in '*?[') else [path]
            for one in paths:
                address = str(one) if is_local(files) else files.unstrip_protocol(one)
                found[address] = Source(address, _mark(files, one))
        if not paths:
            raise MicroexprError(f'{pattern} names no recording: check it')
    return [found[address] for address in sorted(found)]


@contextmanager
def fetched(address: str) -> Iterator[Path]:
    """Yield the path of a recording on this machine, where it is copied to if it is elsewhere.

    Raises:
        OSError: The store does not give it.
    """
    files, path = _open(address)
    if is_local(files):
        yield Path(path)
        return
    scratch = Path(tempfile.mkdtemp(prefix='microexpr-'))
    try:
        target = scratch / path.rstrip('/').rsplit('/', 1)[-1]
        files.get(path, str(target), recursive=files.isdir(path))
        yield target
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def hash_content(path: Path) -> str:
    """Return a hash of a recording's bytes, whatever its name is."""
    digest = hashlib.sha256()
    files = sorted(one for one in path.rglob('*') if one.is_file()) if path.is_dir() else [path]
    for file in files:
        if path.is_dir():
            digest.update(str(file.relative_to(path)).encode())
        with file.open('rb') as opened:
            while block := opened.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:24]


@contextmanager
def explain_store_errors(address: str) -> Iterator[None]:
    """Turn errors of a store into a MicroexprError that names the address."""
    try:
        yield
    except MicroexprError:
        raise
    except (OSError, ValueError, ImportError) as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise MicroexprError(
            f'cannot use {address} ({reason}): check address, credentials and connection'
        ) from error


def is_local(files: Any) -> bool:
    """Return whether a store is the disk of this machine."""
    return 'file' in _protocols(files)


def _open(address: str) -> tuple[Any, str]:
    # An extra, which takes a while to load.
    import fsspec

    with explain_store_errors(address):
        files, path = fsspec.core.url_to_fs(address)
        return files, str(path)


def _protocols(files: Any) -> tuple[str, ...]:
    protocol = files.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _mark(files: Any, path: str) -> str:
    """Return what a store says of a recording, or of each file of a folder, without reading it."""
    info = files.info(path)
    if info['type'] != 'directory':
        return _describe(info)
    inside: dict[str, dict[str, Any]] = files.find(path, detail=True)
    return ','.join(
        f'{name.removeprefix(path)}:{_describe(one)}' for name, one in sorted(inside.items())
    )


def _describe(info: dict[str, Any]) -> str:
    return ':'.join(str(info[key]) for key in ('size', *_CHANGING) if info.get(key) is not None)
