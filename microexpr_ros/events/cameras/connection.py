"""A camera that may come late, go and come back."""

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
    """Wait for a camera, read it while it is there, and wait for it again.

    Args:
        open_camera: opens it; raises CameraAbsentError while it is not there.
        stopping: ends everything once it is set.
        interval_ns: how often the camera is read. What comes in between is read at once, so
            that packets become as long as they may and no longer.
        retry_s: how long to wait before an absent or lost camera is looked for again.
        waiting: is given the reason whenever the camera was found absent or lost.

    Attributes:
        camera: the camera, None while there is none.
        connects: how often one was opened.
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
        """Yield the camera each time it has come; go on when it is lost or has ended."""
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
        """Yield the batches of the present camera, apart where its clock was set back."""
        for _, numbered in groupby(in_order(self.batches()), key=itemgetter(0)):
            yield (batch for _, batch in numbered)

    def batches(self) -> Iterator[Batch]:
        """Yield what the present camera sends, until it is lost or has ended."""
        camera = self.camera
        due_s = time.monotonic()
        while camera is not None and not camera.ended and not self._stopping.is_set():
            try:
                batch = camera.read(_READ_TIMEOUT_S)
                yield batch
            except CameraLostError as error:
                self._waiting(error)
                return
            # What is late already is not made later.
            wait_s = 0.0 if batch.lag_ns / 1e9 > self._interval_s else self._interval_s
            due_s = max(due_s + wait_s, time.monotonic())
            self._stopping.wait(due_s - time.monotonic())
