"""Recordings and results in stores: this machine's disk, s3, gs, http and others of fsspec."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from microexpr_ros.atomic import atomic_target
from microexpr_ros.errors import MicroexprError

Result = TypeVar('Result')

RETRIES: Final = 2
"""How often a worker asks a store again, where nothing else is wanted."""

_BLOCK: Final = 1 << 20
_CHANGING: Final = (
    *('ETag', 'etag', 'md5Hash', 'Content-MD5', 'Digest'),
    *('LastModified', 'last_modified', 'Last-Modified', 'mtime', 'modified'),
)
"""What changes with the content of a file; each kind of store has some of them."""

_ANSWERS: Final = (FileNotFoundError, PermissionError, ValueError, ImportError)
"""Errors that stay the same however often a store is asked."""

_PAUSE_S: Final = 0.5
_ONE_PUT: Final = 1 << 31
"""Half of the largest result that S3 is given in one piece."""

_SECRET: Final = re.compile(
    r'([?&][^=&\s]*(?:sig|token|credential|key|secret|password)[^=&\s]*=)[^&\s\'")]+', re.I
)
"""Parameters of URLs that give access, of S3, Google Cloud Storage, Azure and others."""

_PASSWORD: Final = re.compile(r'(://[^/\s:@]*:)[^/\s@]+@')


@dataclass(frozen=True, slots=True)
class Source:
    """A recording in a store.

    Attributes:
        address: its path, or its URL.
        mark: changes when its content does, as far as the store knows without reading it.
    """

    address: str
    mark: str

    @property
    def name(self) -> str:
        """What people and results are told: the address without what gives access."""
        return hide_secrets(self.address)


class Store:
    """A folder of results.

    Args:
        address: path, or URL such as s3://bucket/folder.
        retries: how often the store is asked again if it does not answer.
    """

    def __init__(self, address: str, retries: int = 0) -> None:
        self.address = address.rstrip('/')
        self._retries = retries
        self._files, self._root = _open(self.address)

    def names(self, folder: str = '') -> set[str]:
        """Return the names of the files in the folder, or in one in it; none if it is missing."""

        def list_folder() -> list[str]:
            # What another process wrote is not in the listing that is remembered.
            self._files.invalidate_cache()
            try:
                found: list[str] = self._files.ls(f'{self._root}/{folder}'.rstrip('/'), False)
            except FileNotFoundError:
                return []
            return found

        return {str(path).rsplit('/', 1)[-1] for path in self._ask('', list_folder)}

    def has(self, name: str) -> bool:
        """Return whether a file is there."""

        def look() -> bool:
            self._files.invalidate_cache()
            return bool(self._files.exists(f'{self._root}/{name}'))

        return self._ask(name, look)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""

        def read_all() -> bytes:
            content: bytes = self._files.cat_file(f'{self._root}/{name}')
            return content

        return self._ask(name, read_all)

    def read_some(self, name: str, read: Callable[[Any], Result]) -> Result:
        """Return what `read` takes from an open file, of which only what it reads is fetched."""

        def open_and_read() -> Result:
            with self._files.open(f'{self._root}/{name}', 'rb') as file:
                return read(file)

        return self._ask(name, open_and_read)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, which appears as a whole: by a single PUT, or by renaming it."""
        path = f'{self._root}/{name}'

        def rename() -> None:
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_target(target, replace=True) as hidden:
                hidden.write_bytes(content)

        def put() -> None:
            options = {'chunksize': _ONE_PUT} if 's3' in _protocols(self._files) else {}
            self._files.pipe_file(path, content, **options)

        self._ask(name, rename if is_local(self._files) else put)

    def remove(self, name: str) -> None:
        """Remove a file that may be missing."""

        def remove_file() -> None:
            with suppress(FileNotFoundError):
                self._files.rm_file(f'{self._root}/{name}')

        self._ask(name, remove_file)

    def _ask(self, name: str, work: Callable[[], Result]) -> Result:
        address = f'{self.address}/{name}' if name else self.address
        return _ask(address, work, self._retries)


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


def hide_secrets(text: str) -> str:
    """Return a text without the signatures, tokens and passwords of the URLs in it.

    Example:
        >>> hide_secrets('https://lab/face.raw?part=2&X-Amz-Signature=3f9c is gone')
        'https://lab/face.raw?part=2&X-Amz-Signature=... is gone'
    """
    return _PASSWORD.sub(r'\1...@', _SECRET.sub(r'\1...', text))


def find_recordings(patterns: Sequence[str]) -> list[Source]:
    """Return the recordings that paths, URLs and patterns name, each once, sorted.

    Raises:
        MicroexprError: A pattern names none, or a store cannot be read.
    """
    found: dict[str, Source] = {}
    for pattern in patterns:
        files, path = _open(pattern)
        sources = _ask(pattern, partial(_find_sources, files, path))
        if not sources:
            raise MicroexprError(f'{hide_secrets(pattern)} names no recording: check it')
        found |= {source.address: source for source in sources}
    return [found[address] for address in sorted(found)]


def _find_sources(files: Any, path: str) -> list[Source]:
    is_pattern = any(sign in path for sign in '*?[') and not files.exists(path)
    paths = files.glob(path) if is_pattern else [path]
    return [
        Source(str(one) if is_local(files) else files.unstrip_protocol(one), _mark(files, one))
        for one in paths
    ]


@contextmanager
def fetched(address: str, retries: int = 0) -> Iterator[Path]:
    """Yield the path of a recording on this machine, where it is copied to if it is elsewhere.

    Args:
        address: its path or URL.
        retries: as of `Store`.

    Raises:
        MicroexprError: The store does not give it.
    """
    files, path = _open(address)
    if is_local(files):
        yield Path(path)
        return
    with TemporaryDirectory(prefix='microexpr-', ignore_cleanup_errors=True) as scratch:

        def copy() -> Path:
            # A folder of its own: what an attempt before has left must not be mixed in.
            target = Path(mkdtemp(dir=scratch), _file_name(files, path))
            if _is_folder(files, path):
                files.get(path, str(target), recursive=True)
            else:
                # As `get` would, but no sign in the name is taken for a pattern.
                files.get_file(path, str(target))
            return target

        yield _ask(address, copy, retries)


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


def is_local(files: Any) -> bool:
    """Return whether a store is the disk of this machine."""
    return 'file' in _protocols(files)


def _open(address: str) -> tuple[Any, str]:
    # An extra, which takes a while to load.
    import fsspec

    files, path = _ask(address, lambda: fsspec.core.url_to_fs(address))
    return files, str(path)


def _ask(address: str, work: Callable[[], Result], retries: int = 0) -> Result:
    """Return what a store answers; one that does not is asked again, after longer and longer.

    Raises:
        MicroexprError: The store cannot be used.
    """
    attempt = 0
    while True:
        try:
            return work()
        # Each kind of store has errors of its own, which have nothing in common.
        except Exception as error:
            if attempt == retries or isinstance(error, _ANSWERS):
                reason = ' '.join(str(error).split()) or type(error).__name__
                raise MicroexprError(
                    hide_secrets(f'cannot use {address} ({reason})')
                    + ': check address, credentials and connection'
                ) from error
        time.sleep(_PAUSE_S * 2**attempt)
        attempt += 1


def _protocols(files: Any) -> tuple[str, ...]:
    protocol = files.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _file_name(files: Any, path: str) -> str:
    """Return the name of a file or folder in a store; its ending says what it is."""
    if 'http' in _protocols(files):
        # A signed URL ends with its signature.
        path = urlsplit(path).path
    return path.rstrip('/').rsplit('/', 1)[-1]


def _is_folder(files: Any, path: str) -> bool:
    # Over HTTP the answer is in the links of a file, all of which is fetched for them.
    is_file = 'http' in _protocols(files) and '.' in _file_name(files, path)
    return not is_file and bool(files.isdir(path))


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
