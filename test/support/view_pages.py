"""The live page on made slices, without ROS."""

import contextlib
import threading

import numpy as np

from microexpr_ros.alignment.slices import Slice
from microexpr_ros.alignment.synchronizer import AlignedSlice, SyncSource
from microexpr_ros.events.region import Region
from microexpr_ros.facs import CODES
from microexpr_ros.perception.classifier import ActionUnitEstimate, Status
from microexpr_ros.perception.spotting import MicroExpression
from microexpr_ros.view import NodeReport, ServerOptions, SnapshotComposer, ViewServer

MS = 1_000_000
EPOCH_NS = 1_700_000_000_000 * MS
REGION = Region(100, 50, 256, 256)


def make_slice(number=0, counts=None, region=REGION):
    """The slice of 10 ms of that number; without counts, an ON event in each cell on the left."""
    if counts is None:
        counts = np.zeros((2, 128, 128), np.uint8)
        counts[1, :, :64] = 1
    window = Slice(
        end_ns=EPOCH_NS + 10 * MS * (number + 1),
        duration_ns=10 * MS,
        region=region,
        counts=counts,
        events=int(counts.sum()),
        frame=None,
        frame_stamp_ns=0,
    )
    return AlignedSlice(
        slice=window,
        face=0,
        source=SyncSource.SOFTWARE,
        sync_error_ns=0.25 * MS,
        newest_arrival_ns=0,
    )


def make_estimate(number=0, left=0.1, right=0.4, active=True, status=Status.OK):
    """All units alike."""
    sides = np.tile(np.array([left, right], np.float32), (len(CODES), 1))
    return ActionUnitEstimate(
        end_ns=EPOCH_NS + 10 * MS * (number + 1),
        status=status,
        sides=sides,
        confidence=np.full(len(CODES), 0.75, np.float32),
        active=np.full(len(CODES), active),
    )


def make_expression(number=0, codes=(6, 12)):
    """One of 0.2 s that ends with the slice of that number."""
    end_ns = EPOCH_NS + 10 * MS * (number + 1)
    return MicroExpression(codes, end_ns - 200 * MS, end_ns - 100 * MS, end_ns, 0.25, 0.5)


class LivePipeline:
    """Four slices at a time; a smile every second, while `smiling`."""

    def __init__(self):
        self.number = 0
        self.smiling = True
        self.composer = SnapshotComposer()
        limits = ' '.join(['0.0100'] * len(CODES))
        self.composer.add_report(NodeReport('au_classifier', 0, 'running', {'thresholds': limits}))
        lost = NodeReport('synchronizer', 1, 'something was lost', {'lost_packets': '3'})
        self.composer.add_report(lost)
        self.composer.add_report(NodeReport('event_camera', 0, 'running', {'lost': '2'}))

    def compose(self):
        """Advance by 40 ms."""
        for _ in range(4):
            self.number += 1
            share = (self.number % 100) / 100
            self.composer.add_slice(make_slice(self.number), 'face_0')
            self.composer.add_estimate(
                make_estimate(self.number, 0.2 * share, 0.3 * share, share > 0.5), 'face_0', 4 * MS
            )
        self.composer.add_reconstruction(np.full((128, 128), 128, np.uint8))
        if self.smiling and self.number % 100 == 0:
            self.composer.add_expression(make_expression(self.number), 'face_0', micro=True)
        return self.composer.compose().to_bytes()


@contextlib.contextmanager
def serving(compose, on_viewers=lambda: None, **options):
    """Serve the page on this machine; on any free port, unless options name one."""
    server = ViewServer(ServerOptions(**{'port': 0, **options}), compose, on_viewers)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        server.wait_until_listening()
        yield server
    finally:
        server.stop()
        thread.join()
