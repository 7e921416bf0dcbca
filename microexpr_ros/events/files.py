"""Recordings of events in files, read in pieces."""

from __future__ import annotations

import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import bags, codecs
from microexpr_ros.events.codecs.codec import Decoder, require_order
from microexpr_ros.events.codecs.evt2 import Evt2Decoder
from microexpr_ros.events.codecs.evt3 import Evt3Decoder
from microexpr_ros.events.events import Events, Triggers

KNOWN_FORMATS: Final = 'Prophesee .raw (EVT2, EVT3), .npy, .npz, rosbag2 (folder, .mcap or .db3)'
NS_OF_UNIT: Final[Mapping[str, int]] = {'s': 1_000_000_000, 'us': 1_000, 'ns': 1}
"""Nanoseconds of the units that times of arrays may have."""

_BLOCK_BYTES: Final = 1 << 19
_BLOCK_ROWS: Final = 1 << 17
_HEADER_LINE_BYTES: Final = 4096
_COLUMNS: Final = ('t', 'x', 'y', 'p')
_RAW_DECODERS: Final[Mapping[str, type[Decoder]]] = {'EVT2': Evt2Decoder, 'EVT3': Evt3Decoder}


class Recording(ABC):
    """Events of one sensor in a file.

    Attributes:
        path: file or folder.
        kind: its format, for people.
        height: rows of the sensor.
        width: columns of the sensor.
        epoch_ns: host time at sensor time 0; 0 if the recording does not say.
        dropped: events left out so far, because they lay outside the sensor or had no time.
        fraction: how much of the recording has been read, 0 to 1.
    """

    def __init__(self, path: Path, kind: str, height: int, width: int, epoch_ns: int = 0) -> None:
        self.path = path
        self.kind = kind
        self.height = height
        self.width = width
        self.epoch_ns = epoch_ns
        self.dropped = 0
        self.fraction = 0.0

    @abstractmethod
    def chunks(self) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over the recording from its start, in pieces of a few MB.

        Raises:
            MicroexprError: The recording is damaged or does not fit the sensor.
        """


def open_recording(
    path: Path | str,
    *,
    time_unit: str | None = None,
    sensor: tuple[int, int] | None = None,
    topic: str | None = None,
) -> Recording:
    """Open a recording of any known format.

    Args:
        path: A .raw, .npy, .npz, .mcap or .db3 file, or a rosbag2 folder. Arrays are
            structured with fields t, x, y and p, or [N, 4] with these columns; an .npz holds
            one such array, or four of these names.
        time_unit: Unit of an array's times: s, us or ns. Needed unless they have fractions,
            which only seconds have.
        sensor: Columns and rows of the sensor. Needed where the file does not say.
        topic: Topic of a bag, if it has more than one of event packets.

    Raises:
        MicroexprError: The file cannot be read, its format is not known, or something that
            it does not say must be given.
    """
    path = Path(path)
    if not path.exists():
        raise MicroexprError(f'there is no recording {path}: check the path')
    if bags.is_bag(path):
        return BagRecording(path, sensor, topic)
    if path.is_dir():
        raise MicroexprError(f'the folder {path} is not a recording: give one of {KNOWN_FORMATS}')
    if path.suffix == '.raw':
        return RawRecording(path, sensor)
    if path.suffix in ('.npy', '.npz'):
        return ArrayRecording(path, sensor, time_unit)
    raise MicroexprError(f'{path} is of an unknown format: give one of {KNOWN_FORMATS}')


def parse_sensor(text: str) -> tuple[int, int]:
    """Return the columns and rows of a sensor size such as 640x480.

    Raises:
        MicroexprError: The text is no size.

    Example:
        >>> parse_sensor('640x480')
        (640, 480)
    """
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if match is None:
        raise MicroexprError(f'{text!r} is no sensor size: give WIDTHxHEIGHT, such as 640x480')
    return int(match[1]), int(match[2])


class RawRecording(Recording):
    """A Prophesee .raw file: lines of text that start with a percent sign, then words."""

    def __init__(self, path: Path, sensor: tuple[int, int] | None = None) -> None:
        with _explained(path), path.open('rb') as file:
            header, self._start = _read_raw_header(file)
        encoding = _encoding_of(header)
        if encoding not in _RAW_DECODERS:
            raise MicroexprError(
                f'{path} is encoded as {encoding or "nothing that its header names"}, '
                f'not {" or ".join(_RAW_DECODERS)}: export it as EVT3 first'
            )
        self._decoder_type = _RAW_DECODERS[encoding]
        told = _sensor_of(header)
        self._is_sensor_told = told is not None
        width, height = _agree(path, told, sensor)
        super().__init__(path, f'Prophesee {encoding}', height, width)

    def chunks(self) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over the recording, as told by `Recording`."""
        decoder = self._decoder_type(self.height, self.width)
        size = max(1, self.path.stat().st_size - self._start)
        done = 0
        with ExitStack() as stack:
            with _explained(self.path):
                file = stack.enter_context(self.path.open('rb'))
                file.seek(self._start)
            while True:
                with _explained(self.path):
                    block = file.read(_BLOCK_BYTES)
                if not block:
                    return
                chunk = decoder.decode(block)
                if decoder.dropped and not self._is_sensor_told:
                    raise MicroexprError(
                        f'{self.path} has events outside a sensor of {self.width} x '
                        f'{self.height} pixels: give the right sensor size'
                    )
                done += len(block)
                self.dropped = decoder.dropped + decoder.undated
                self.fraction = done / size
                yield chunk


class BagRecording(Recording):
    """A topic of event packets in a rosbag2 recording."""

    def __init__(
        self, path: Path, sensor: tuple[int, int] | None = None, topic: str | None = None
    ) -> None:
        bag = bags.describe(path)
        candidates = [t.name for t in bag.topics if t.type == bags.EVENT_PACKET]
        self.topic = bags.find_topic(
            bag, bags.EVENT_PACKET, topic if len(candidates) > 1 else None
        )
        self._messages = sum(t.messages for t in bag.topics if t.name == self.topic)
        first = next(bags.read_packets(path, self.topic), None)
        if first is None:
            raise MicroexprError(f'{self.topic} in {path} has no messages: record it again')
        packet = first[1]
        self._encoding = packet.encoding
        width, height = _agree(path, (packet.width, packet.height), sensor)
        decoder = codecs.decoder(packet.encoding, height, width)
        events, triggers = decoder.decode(packet.events, packet.time_base)
        times = [int(part.t[0]) for part in (events, triggers) if len(part)]
        epoch_ns = packet.stamp_ns - min(times, default=0)
        super().__init__(path, f'rosbag2 {packet.encoding}', height, width, epoch_ns)

    def chunks(self) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over the recording, as told by `Recording`."""
        decoder = codecs.decoder(self._encoding, self.height, self.width)
        expected = self._encoding, self.height, self.width
        for number, (_, packet) in enumerate(bags.read_packets(self.path, self.topic), 1):
            if (packet.encoding, packet.height, packet.width) != expected:
                raise MicroexprError(
                    f'{self.topic} in {self.path} changes encoding or sensor at packet '
                    f'{packet.seq}: record one camera per topic'
                )
            chunk = decoder.decode(packet.events, packet.time_base)
            self.dropped = decoder.dropped + decoder.undated
            self.fraction = number / max(1, self._messages)
            yield chunk


class ArrayRecording(Recording):
    """A numpy file with times, columns, rows and polarities."""

    def __init__(
        self,
        path: Path,
        sensor: tuple[int, int] | None = None,
        time_unit: str | None = None,
    ) -> None:
        if time_unit is not None and time_unit not in NS_OF_UNIT:
            raise MicroexprError(
                f'unknown time unit {time_unit!r}: choose one of {", ".join(NS_OF_UNIT)}'
            )
        with _open_table(path) as table:
            first = next(table.blocks(), None)
        self.time_unit = time_unit or _certain_unit(path, first)
        width, height = _agree(path, None, sensor)
        super().__init__(path, f'numpy {path.suffix}, times in {self.time_unit}', height, width)

    def chunks(self) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over the recording, as told by `Recording`."""
        newest = np.empty(0, np.int64)
        done = 0
        with _open_table(self.path) as table:
            for block in table.blocks():
                events = self._to_events(block)
                require_order(np.concatenate((newest, events.t)))
                newest = events.t[-1:]
                done += len(events)
                self.fraction = done / table.rows
                yield events, Triggers.empty()

    def _to_events(self, block: _Block) -> Events:
        scale = NS_OF_UNIT[self.time_unit]
        if not np.isfinite(block.t).all():
            raise MicroexprError(f'{self.path} has times that are not finite: repair the file')
        if block.t.dtype.kind == 'f':
            t = np.rint(block.t.astype(np.float64) * scale).astype(np.int64)
        else:
            t = block.t.astype(np.int64) * scale
        x, y = self._to_axis(block.x, 'x', self.width), self._to_axis(block.y, 'y', self.height)
        if not np.isin(block.p, (-1, 0, 1)).all():
            raise MicroexprError(
                f'{self.path} has polarities other than 0 and 1, or -1 and 1: '
                f'columns must be {", ".join(_COLUMNS)} in this order'
            )
        return Events(t, x, y, (block.p > 0).astype(np.uint8))

    def _to_axis(self, values: NDArray[Any], name: str, limit: int) -> NDArray[np.uint16]:
        whole = values.astype(np.int64)
        if (whole != values).any() or (len(whole) and int(whole.min()) < 0):
            raise MicroexprError(
                f'{self.path} has values of {name} that are not pixels: '
                f'columns must be {", ".join(_COLUMNS)} in this order'
            )
        if len(whole) and int(whole.max()) >= limit:
            raise MicroexprError(
                f'{self.path} has {name} = {int(whole.max())}, outside a sensor of '
                f'{self.width} x {self.height} pixels: give the right sensor size, and columns '
                f'in the order {", ".join(_COLUMNS)}'
            )
        return whole.astype(np.uint16)


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows of a table as they are in the file."""

    t: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    p: NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Table:
    """Four columns that are read from their starts, once."""

    rows: int
    blocks: Callable[[], Iterator[_Block]]


@contextmanager
def _open_table(path: Path) -> Iterator[_Table]:
    with ExitStack() as stack:
        with _explained(path):
            if path.suffix == '.npy':
                readers = {'': _from_array(np.load(path, mmap_mode='r', allow_pickle=False))}
            else:
                archive = stack.enter_context(zipfile.ZipFile(path))
                names = [name.removesuffix('.npy') for name in archive.namelist()]
                wanted = _COLUMNS if set(_COLUMNS) <= set(names) else names[:1]
                readers = {
                    name: _from_member(stack.enter_context(archive.open(f'{name}.npy')))
                    for name in wanted
                }
        if set(readers) == set(_COLUMNS):
            yield _table_of_columns(path, readers)
        else:
            yield _table_of_one(path, next(iter(readers.values())))


@dataclass(frozen=True, slots=True)
class _ArrayReader:
    """An array that is read from its start, _BLOCK_ROWS rows at a time."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]


def _from_array(array: NDArray[Any]) -> _ArrayReader:
    starts = range(0, len(array) if array.ndim else 0, _BLOCK_ROWS)
    parts = (array[start : start + _BLOCK_ROWS] for start in starts)
    return _ArrayReader(array.shape, array.dtype, lambda: next(parts, array[:0]))


def _from_member(file: IO[bytes]) -> _ArrayReader:
    version = np.lib.format.read_magic(file)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version](file)
    shape, is_fortran, dtype = header
    if dtype.hasobject:
        raise ValueError('it holds Python objects')
    if is_fortran and len(shape) > 1:
        # Its columns lie one after the other, so its rows cannot be read in pieces.
        whole = np.frombuffer(file.read(), dtype).reshape(shape, order='F')
        return _from_array(whole)
    width = int(np.prod(shape[1:], dtype=np.int64))

    def read() -> NDArray[Any]:
        data = file.read(_BLOCK_ROWS * width * dtype.itemsize)
        return np.frombuffer(data, dtype).reshape(-1, *shape[1:])

    return _ArrayReader(shape, dtype, read)


def _table_of_columns(path: Path, readers: Mapping[str, _ArrayReader]) -> _Table:
    shapes = {reader.shape for reader in readers.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise MicroexprError(f'{path} has columns of different shapes {sorted(shapes)}: repair it')
    rows = next(iter(shapes))[0]
    return _Table(rows, lambda: _read_columns(path, readers, rows))


def _read_columns(path: Path, readers: Mapping[str, _ArrayReader], rows: int) -> Iterator[_Block]:
    for start in range(0, rows, _BLOCK_ROWS):
        with _explained(path):
            block = _Block(*(readers[name].read() for name in _COLUMNS))
        _require_rows(path, block, min(_BLOCK_ROWS, rows - start))
        yield block


def _table_of_one(path: Path, reader: _ArrayReader) -> _Table:
    fields = reader.dtype.names
    is_structured = fields is not None and len(reader.shape) == 1 and set(_COLUMNS) <= set(fields)
    if not is_structured and (fields is not None or reader.shape[1:] != (4,)):
        raise MicroexprError(
            f'{path} holds an array of {reader.dtype} {list(reader.shape)}: give a structured '
            f'array with the fields {", ".join(_COLUMNS)} or [N, 4] with these columns'
        )
    return _Table(reader.shape[0], lambda: _read_rows(path, reader, is_structured))


def _read_rows(path: Path, reader: _ArrayReader, is_structured: bool) -> Iterator[_Block]:
    rows = reader.shape[0]
    for start in range(0, rows, _BLOCK_ROWS):
        with _explained(path):
            part = reader.read()
        if is_structured:
            block = _Block(*(part[name] for name in _COLUMNS))
        else:
            block = _Block(*(part[:, i] for i in range(len(_COLUMNS))))
        _require_rows(path, block, min(_BLOCK_ROWS, rows - start))
        yield block


def _require_rows(path: Path, block: _Block, rows: int) -> None:
    if any(len(column) != rows for column in (block.t, block.x, block.y, block.p)):
        raise MicroexprError(f'{path} ends before its last event: copy it again')


def _certain_unit(path: Path, block: _Block | None) -> str:
    if block is not None and block.t.dtype.kind == 'f' and (block.t % 1 != 0).any():
        return 's'
    raise MicroexprError(
        f'the times of {path} may be in any unit: give --time-unit {"|".join(NS_OF_UNIT)}'
    )


def _agree(
    path: Path, told: tuple[int, int] | None, given: tuple[int, int] | None
) -> tuple[int, int]:
    if told is None and given is None:
        raise MicroexprError(
            f'{path} does not say how large its sensor is: give --sensor WIDTHxHEIGHT'
        )
    if told is not None and given is not None and told != given:
        raise MicroexprError(
            f'{path} is from a sensor of {told[0]} x {told[1]} pixels, not {given[0]} x '
            f'{given[1]}: leave out --sensor'
        )
    return told or given or (0, 0)


def _read_raw_header(file: IO[bytes]) -> tuple[dict[str, str], int]:
    """Return the keys and values of a .raw file's header, and where its words start."""
    header: dict[str, str] = {}
    while True:
        start = file.tell()
        line = file.readline(_HEADER_LINE_BYTES)
        # The words may start with a percent sign too, but hardly with a whole line of text.
        if not (line.startswith(b'%') and line.endswith(b'\n') and line.isascii()):
            return header, start
        key, _, value = line[1:].decode('ascii').strip().partition(' ')
        if key == 'end':
            return header, file.tell()
        header[key.lower()] = value.strip()


def _encoding_of(header: Mapping[str, str]) -> str:
    if 'format' in header:
        return header['format'].split(';')[0].upper()
    return {'3.0': 'EVT3', '2.0': 'EVT2', '2.1': 'EVT21'}.get(header.get('evt', ''), '')


def _sensor_of(header: Mapping[str, str]) -> tuple[int, int] | None:
    """Return the columns and rows that a .raw file's header tells, None if it does not."""
    options = dict(
        option.split('=', 1) for option in header.get('format', '').split(';') if '=' in option
    )
    geometry = re.fullmatch(r'(\d+)x(\d+)', header.get('geometry', ''))
    for width, height in (
        (options.get('width'), options.get('height')),
        geometry.groups() if geometry else (None, None),
        (header.get('width'), header.get('height')),
    ):
        if width is not None and height is not None and width.isdigit() and height.isdigit():
            return int(width), int(height)
    return None


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Tell in one line that a file cannot be read."""
    try:
        yield
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise MicroexprError(
            f'cannot read {path} ({reason}): give one of {KNOWN_FORMATS}'
        ) from error
