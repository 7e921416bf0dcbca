"""Reading a camera that may be connected late, lost and connected again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.cameras.camera import Batch, Camera, CameraAbsentError, CameraLostError
from microexpr_ros.events.cameras.order import in_order

_READ_TIMEOUT_S: Final = 0.1


class Connection:
    """Waits for a camera, reads it while it is connected, and waits for it again.

    Args:
        open_camera: opens it; raises CameraAbsentError while it is not connected.
        stopping: ends all loops once it is set.
        interval_ns: time between two reads, the duration of a packet: all data since the last
            read is read at once.
        retry_s: time until an absent or lost camera is looked for again.
        waiting: called with the error whenever the camera is absent or lost.

    Attributes:
        camera: the camera, None while there is none.
        connects: number of times that it was opened.
    """

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        stopping: threading.Event,
        interval_ns: int,
        retry_s: float = 1.0,
        waiting: Callable[[MicroexprError], None] = lambda error: None,
    ) -> None:
        self.camera: Camera | None = None
        self.connects = 0
        self._open = open_camera
        self._stopping = stopping
        self._interval_s = interval_ns / 1e9
        self._retry_s = retry_s
        self._waiting = waiting

    def cameras(self) -> Iterator[Camera]:
        """Yield the camera each time it is opened, until it has ended or `stopping` is set."""
        while not self._stopping.is_set():
            try:
                camera = self._open()
            except CameraAbsentError as error:
                self._waiting(error)
            else:
                with camera:
                    self.camera = camera
                    self.connects += 1
                    try:
                        yield camera
                    finally:
                        self.camera = None
                if camera.ended:
                    return
            self._stopping.wait(self._retry_s)

    def streams(self) -> Iterator[Iterator[Batch]]:
        """Yield streams of batches of the open camera; a new one where its clock was set back."""
        for _, numbered in groupby(in_order(self.batches()), key=itemgetter(0)):
            yield (batch for _, batch in numbered)

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of the open camera until it is lost or has ended."""
        camera = self.camera
        due_s = time.monotonic()
        while camera is not None and not camera.ended and not self._stopping.is_set():
            try:
                batch = camera.read(_READ_TIMEOUT_S)
                yield batch
            except CameraLostError as error:
                self._waiting(error)
                return
            # Data that is late already is read without a pause.
            wait_s = 0.0 if batch.lag_ns / 1e9 > self._interval_s else self._interval_s
            due_s = max(due_s + wait_s, time.monotonic())
            self._stopping.wait(due_s - time.monotonic())
