"""What a pipeline published, made by hand."""

import numpy as np

from microexpr_ros.cli.demo.observer import Observation
from microexpr_ros.perception.classifier import ActionUnitEstimate, Status


def make_observation():
    """Return 40 ms of recording in three estimates that took 60 ms, one of unknown latency."""
    ends_ns = (10_000_000, 20_000_000, 40_000_000)
    still = np.zeros((18, 2), np.float32), np.zeros(18, np.float32), np.zeros(18, np.bool_)
    return Observation(
        estimates=[ActionUnitEstimate(end_ns, Status.OK, *still) for end_ns in ends_ns],
        arrivals_ns=[0, 20_000_000, 60_000_000],
        latencies_ns=[0, 2_000_000, 4_000_000],
        slices=4,
        images=1,
        lost_packets=1,
        diagnostics={
            '/player': {'event_packets': '7', 'undelivered': '3', 'behind_factor': '1.0'},
            '/synchronizer': {
                'packets': '5',
                'events': '900',
                'events_thinned': '300',
                'lost_frames': '2',
                'event_packets_behind_factor': '0.75',
                'frames_behind_factor': '0.9',
            },
            '/au_classifier': {'missed_slices': '4', 'slices_behind_factor': '1.0'},
            '/reconstructor': {'images_skipped': '6'},
        },
        model='au@1',
    )
