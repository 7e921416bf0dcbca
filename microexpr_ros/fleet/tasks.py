"""What a worker of a fleet does: a recording, a part of a long one, and joining its parts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from microexpr_ros.alignment.synchronizer import SynchronizerOptions
from microexpr_ros.analysis.parts import PART_NS, Part, Start, analyze_part, join_parts
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.files import Recording, open_recording
from microexpr_ros.events.region import Region
from microexpr_ros.fleet.results import decode_part, encode_part, encode_result
from microexpr_ros.fleet.store import (
    RETRIES,
    Source,
    Store,
    fetched,
    hash_content,
    hide_secrets,
)
from microexpr_ros.perception.classifier import ActionUnitClassifier

RECORDS: Final = 'records'
PARTS: Final = 'parts'
DONE: Final = '.done.json'
FAILED: Final = '.failed.json'

PARTS_OF_A_TASK: Final = 10
"""Parts that one task analyzes: each task fetches and opens the recording, and is lost as a whole
if its worker dies."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the recordings of a fleet are read.

    Attributes:
        model: name and hash of the network, which every worker must have.
        weights: path or URL of the weights; None for the shipped ones.
        time_unit: as of `open_recording`.
        sensor: as of `open_recording`.
        topic: as of `open_recording`.
        rgb_topic: topic of a bag's images; None for the first.
        region: fixed face region; None to follow the face.
        part_ns: length of the parts of long recordings.
        faces: faces to read at most.
        retries: how often a store is asked again that does not answer.
    """

    model: str
    weights: str | None = None
    time_unit: str | None = None
    sensor: tuple[int, int] | None = None
    topic: str | None = None
    rgb_topic: str | None = None
    region: Region | None = None
    part_ns: int = PART_NS
    faces: int = 1
    retries: int = RETRIES

    @property
    def key(self) -> str:
        """What of them decides the result, as a hash."""
        decisive = asdict(replace(self, weights=None, retries=0))
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Job:
    """One recording of a fleet.

    Attributes:
        source: where it is.
        settings: how it is read.
        out: address of the results.
    """

    source: Source
    settings: Settings
    out: str

    @property
    def id(self) -> str:
        """Names what is known of the recording, as long as neither it nor the settings change."""
        text = f'{self.source.address}\n{self.source.mark}\n{self.settings.key}'
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def store(self) -> Store:
        """Where the results are."""
        return Store(self.out, self.settings.retries)

    def write_done(self, result: str) -> Done:
        """Record that the result is there."""
        store = self.store
        content = {'recording': self.source.name, 'result': result}
        store.write(f'{RECORDS}/{self.id}{DONE}', json.dumps(content).encode())
        store.remove(f'{RECORDS}/{self.id}{FAILED}')
        return Done(result)

    def write_failed(self, reason: str) -> Failed:
        """Record why there is no result."""
        reason = hide_secrets(reason)
        content = {'recording': self.source.name, 'reason': reason}
        self.store.write(f'{RECORDS}/{self.id}{FAILED}', json.dumps(content).encode())
        return Failed(reason)


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a recording is there, under this name."""

    result: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A recording cannot be analyzed, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Long:
    """A long recording is analyzed up to a part, whose work is the next task.

    Attributes:
        result: name of the recording's result.
        next: where the part begins.
    """

    result: str
    next: Start


Outcome = Done | Failed | Long


def analyze_source(job: Job) -> Outcome:
    """Analyze a recording, or the first parts of a long one."""

    def work(path: Path) -> Outcome:
        result = f'{hash_content(path)}-{job.settings.key}.parquet'
        return _analyze_parts(job, path, result, None)

    return _attempt(job, work)


def analyze_on(job: Job, result: str, start: Start) -> Outcome:
    """Analyze the parts of a long recording that follow."""
    return _attempt(job, lambda path: _analyze_parts(job, path, result, start))


def _analyze_parts(job: Job, path: Path, result: str, start: Start | None) -> Outcome:
    """Analyze some parts of a recording; with the last of them write its result."""
    store, settings = job.store, job.settings
    if store.has(result):
        # Of another recording with the same content, or of a worker that died when it was there.
        return job.write_done(result)
    options = SynchronizerOptions(region=settings.region, faces=settings.faces)
    parts: list[Part] = []
    while not parts or (start is not None and len(parts) < PARTS_OF_A_TASK):
        part = analyze_part(
            _open(path, settings),
            load_classifier(settings),
            start,
            options,
            rgb_topic=settings.rgb_topic,
            part_ns=settings.part_ns,
        )
        analysis, start = part.analysis, part.next
        # Where the recording was copied to is of no use to anyone.
        damage = tuple(line.replace(str(path), path.name) for line in analysis.damage)
        parts.append(Part(part.number, replace(analysis, source='', damage=damage)))
    if start is not None:
        for part in parts:
            store.write(_part_name(result, part.number), encode_part(part))
        return Long(result, start)
    names = [_part_name(result, number) for number in range(parts[0].number)]
    try:
        before = [decode_part(store.read(name)) for name in names]
    except MicroexprError:
        # Another recording with the same content may have been done meanwhile.
        if store.has(result):
            return job.write_done(result)
        raise
    store.write(result, encode_result(join_parts([*before, *parts])))
    for name in names:
        store.remove(name)
    return job.write_done(result)


@lru_cache(maxsize=1)
def load_classifier(settings: Settings) -> ActionUnitClassifier:
    """Return the network of a fleet, which a worker loads once.

    Raises:
        MicroexprError: The worker has another network.
    """
    if settings.weights is None:
        classifier = ActionUnitClassifier.load()
    else:
        with fetched(settings.weights, settings.retries) as path:
            classifier = ActionUnitClassifier.load(path)
    if classifier.model != settings.model:
        raise MicroexprError(
            f'a worker has {classifier.model}, not {settings.model}: install the same version of '
            'microexpr_ros there'
        )
    return classifier


def _open(path: Path, settings: Settings) -> Recording:
    return open_recording(
        path, time_unit=settings.time_unit, sensor=settings.sensor, topic=settings.topic
    )


def _part_name(result: str, number: int) -> str:
    return f'{PARTS}/{result.removesuffix(".parquet")}-{number:04d}.npz'


def _attempt(job: Job, work: Callable[[Path], Outcome]) -> Outcome:
    """Fetch a recording and work on it; one that cannot be read is recorded as failed."""
    with fetched(job.source.address, job.settings.retries) as path:
        try:
            return work(path)
        except MicroexprError as error:
            return job.write_failed(str(error).replace(str(path), job.source.name))
