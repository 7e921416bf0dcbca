"""The files of the page: read once, so that no request can reach the disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from microexpr_ros import facs

_TYPES: Final = {
    'html': 'text/html; charset=utf-8',
    'css': 'text/css; charset=utf-8',
    'js': 'text/javascript; charset=utf-8',
    'svg': 'image/svg+xml',
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is sent: its media type and its bytes."""

    media_type: str
    content: bytes


def read_page_files() -> dict[str, PageFile]:
    """Return the files of the page by the path of their address.

    Example:
        >>> read_page_files()['/'].media_type
        'text/html; charset=utf-8'
    """
    page = {
        f'/{file.name}': PageFile(_TYPES[file.name.rpartition('.')[2]], file.read_bytes())
        for file in files('microexpr_ros.view').joinpath('page').iterdir()
    }
    units = [{'code': code, 'name': name} for code, name in facs.NAMES.items()]
    page['/units.json'] = PageFile('application/json', json.dumps(units).encode())
    page['/'] = page.pop('/index.html')
    return page
