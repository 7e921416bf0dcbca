"""What is found on a real face, against what the eye sees in its events.

The marks were made by eye in pictures of the events of the aligned region, before any network had
read them: lids that close and open again, lips that part and meet, and stretches in which
neither brows, lids, nose nor mouth move.
"""

import numpy as np
import pytest

from microexpr_ros.analysis import analyze
from microexpr_ros.cli.demo.sources import prepare_real_face
from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import CODES

BLINKS = ((4.05, 4.40), (4.80, 5.05), (5.25, 5.60), (7.08, 7.45), (8.76, 9.20), (10.22, 10.55))
"""Onset and offset, s; one more, at 10.8 s, goes over into a raised brow."""

SPEECH = (5.0, 8.0)
"""From the first to the last movement of the lips, s."""

STILL = ((9.5, 10.0), (11.55, 12.1))
"""Nothing moves but the head, a little, s."""


@pytest.fixture(scope='module')
def analysis():
    try:
        bag = prepare_real_face(lambda step, share: None).path
    except MicroexprError as error:
        pytest.skip(f'needs the recording event-lads of PyPI: {error}')
    return analyze(bag)


def largest(analysis, code, begin_s, end_s):
    chosen = (analysis.time_s > begin_s) & (analysis.time_s <= end_s)
    return float(analysis.intensity[chosen, CODES.index(code)].max())


def test_every_blink_is_found(analysis):
    peaks = [largest(analysis, 45, *span) for span in BLINKS]
    assert min(peaks) > 0.3, np.round(peaks, 2)


def test_the_lips_part_in_speech_and_rest_afterwards(analysis):
    begin_s, end_s = SPEECH
    parted = [largest(analysis, code, begin_s, begin_s + 0.3) for code in (25, 26)]
    assert max(parted) > 0.3
    rested = [largest(analysis, code, end_s + 0.5, 12.1) for code in (25, 26)]
    assert max(rested) < max(parted) / 2


def test_nothing_is_found_where_nothing_moves(analysis):
    for begin_s, end_s in STILL:
        found = [
            movement
            for movement in analysis.movements
            if begin_s < analysis.seconds(movement.expression.onset_ns) < end_s
        ]
        assert not found, found
