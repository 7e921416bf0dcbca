"""Prophesee's .raw files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

import numpy as np

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.codecs.codec import Decoder
from microexpr_ros.events.codecs.evt2 import Evt2Decoder
from microexpr_ros.events.codecs.evt3 import Evt3Decoder
from microexpr_ros.events.codecs.evt4 import Evt4Decoder
from microexpr_ros.events.codecs.evt21 import (
    Evt21Decoder,
    Evt21LegacyDecoder,
    has_upper_half_first,
)
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files.recording import (
    Recording,
    agree_on_sensor,
    explain_read_errors,
    losses_of,
)

_BLOCK_BYTES: Final = 1 << 19
_HEADER_LINE_BYTES: Final = 4096
_DECODERS: Final[Mapping[str, type[Decoder]]] = {
    'EVT2': Evt2Decoder,
    'EVT21': Evt21Decoder,
    'EVT3': Evt3Decoder,
    'EVT4': Evt4Decoder,
}
_VERSIONS: Final = {'2.0': 'EVT2', '2.1': 'EVT21', '3.0': 'EVT3', '4.0': 'EVT4'}
"""Encodings as headers before Metavision 4 name them."""

_SIZES: Final[Mapping[tuple[int, int], str]] = {
    (640, 480): r'gen3|^3\.',
    (1280, 720): r'gen4|^4\.|imx636|imx646|imx637|imx647',
    (320, 320): r'genx320|^320\.',
}
"""Columns and rows of Prophesee's sensors, and how headers name their generation."""

_SIZES_OF_SYSTEMS: Final[Mapping[tuple[int, int], frozenset[int]]] = {
    (640, 480): frozenset(
        (0x15, 0x17, 0x97, 0x19, 0x99, 0x1C, 0x1D, 0x21, 0xA1, 0x22, 0xA2, 0x23, 0x28, 0x29)
    ),
    (1280, 720): frozenset(
        (0x1A, 0x9A, 0x1E, 0x1F, 0x20, 0x27, 0x2E, 0x30, 0x31, 0x32, 0x34, 0x35, 0x36, 0x3A, 0x41)
    ),
    (320, 320): frozenset((0x3B, 0x40)),
}
"""Columns and rows of the sensors of Prophesee's systems, by their numbers."""


class RawRecording(Recording):
    """A Prophesee .raw file: header lines that start with a percent sign, then encoded words."""

    def __init__(self, path: Path, sensor: tuple[int, int] | None = None) -> None:
        with explain_read_errors(path), path.open('rb') as file:
            header, self._start = read_header(file)
        if not header:
            raise MicroexprError(
                f'{path} does not begin with the header of a Prophesee .raw file: '
                'give the recording as the camera wrote it'
            )
        encoding = _encoding_of(header)
        if encoding not in _DECODERS:
            known = f'{", ".join(list(_DECODERS)[:-1])} or {list(_DECODERS)[-1]}'
            raise MicroexprError(
                f'{path} is encoded as {encoding or "an unknown encoding"}, not {known}: '
                'export it as EVT3 first'
            )
        self._decoder_type = _DECODERS[encoding]
        if encoding == 'EVT21' and self._has_upper_half_first(path, header):
            self._decoder_type = Evt21LegacyDecoder
        stored = sensor_of(header)
        self._is_sensor_stored = stored is not None
        # A size that is given may be a part that the sensor read out.
        width, height = agree_on_sensor(path, stored, sensor or _usual_size(header))
        super().__init__(path, f'Prophesee {encoding}', height, width)

    def _has_upper_half_first(self, path: Path, header: Mapping[str, str]) -> bool:
        order = _options(header).get('endianness') or header.get('endianness')
        if order is not None:
            return order == 'legacy'
        with explain_read_errors(path), path.open('rb') as file:
            file.seek(self._start)
            block = file.read(_BLOCK_BYTES)
        return has_upper_half_first(np.frombuffer(block[: len(block) // 4 * 4], '<u4'))

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        return self._read_from((0, self._decoder_type(self.height, self.width)))

    def _read_from(self, place: tuple[int, Decoder]) -> Iterator[tuple[Events, Triggers]]:
        done, decoder = place
        size = max(1, self.path.stat().st_size - self._start)
        with ExitStack() as stack:
            with explain_read_errors(self.path):
                file = stack.enter_context(self.path.open('rb'))
                file.seek(self._start + done)
            while True:
                with explain_read_errors(self.path):
                    block = file.read(_BLOCK_BYTES)
                if not block:
                    return
                chunk = decoder.decode(block)
                if decoder.dropped and not self._is_sensor_stored:
                    raise MicroexprError(
                        f'{self.path} has events outside a sensor of {self.width} x '
                        f'{self.height} pixels: give the right sensor size'
                    )
                done += len(block)
                self.losses.update(losses_of(decoder))
                self._held_by_decoder = decoder.held
                self.fraction = done / size
                self._place = done, decoder
                yield chunk


def sensor_of(header: Mapping[str, str]) -> tuple[int, int] | None:
    """Return the columns and rows in Prophesee's key-value pairs, None if they have none."""
    options = _options(header)
    geometry = re.fullmatch(r'(\d+)x(\d+)', header.get('geometry', ''))
    for width, height in (
        (options.get('width'), options.get('height')),
        geometry.groups() if geometry else (None, None),
        (header.get('width'), header.get('height')),
    ):
        if width is not None and height is not None and width.isdigit() and height.isdigit():
            return int(width), int(height)
    return None


def _options(header: Mapping[str, str]) -> dict[str, str]:
    """Return what follows the name of the encoding, as in EVT3;height=720;width=1280."""
    parts = header.get('format', '').split(';')
    return dict(part.split('=', 1) for part in parts if '=' in part)


def _usual_size(header: Mapping[str, str]) -> tuple[int, int] | None:
    """Return columns and rows of the sensor that a header names by generation, or None."""
    for key in ('sensor_name', 'sensor_generation', 'generation', 'plugin_name'):
        for size, pattern in _SIZES.items():
            if re.search(pattern, header.get(key, ''), re.IGNORECASE):
                return size
    system = header.get('system_id', '')
    for size, numbers in _SIZES_OF_SYSTEMS.items():
        if system.isdecimal() and int(system) in numbers:
            return size
    return None


def read_header(file: IO[bytes]) -> tuple[dict[str, str], int]:
    """Return the keys and values of a .raw file's header, and where its words start."""
    header: dict[str, str] = {}
    while True:
        start = file.tell()
        line = file.readline(_HEADER_LINE_BYTES)
        # Words may start with a percent sign by chance, but not with a whole line of text.
        if not (line.startswith(b'%') and line.endswith(b'\n') and line.isascii()):
            return header, start
        key, _, value = line[1:].decode('ascii').strip().partition(' ')
        if key == 'end':
            return header, file.tell()
        header[key.lower()] = value.strip()


def _encoding_of(header: Mapping[str, str]) -> str:
    if 'format' in header:
        return header['format'].split(';')[0].upper()
    return _VERSIONS.get(header.get('evt', ''), '')
