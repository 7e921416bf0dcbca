"""What is found on a real face, against what the eye sees in its events.

The marks were made by eye in pictures of the events of the aligned region, before any network had
read them: lids that close and open again, lips that part and meet, and stretches in which
neither brows, lids, nose nor mouth move.
"""

import pytest

from microexpr_ros.analysis import analyze
from microexpr_ros.cli.demo.sources import prepare_real_face
from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import CODES, ExpressionKind

BLINKS = (
    (4.05, 4.40),
    (4.80, 5.05),
    (5.25, 5.60),
    (7.08, 7.45),
    (8.76, 9.20),
    (10.22, 10.55),
    (10.80, 11.10),
)
"""Onset and offset of each closing and opening of both lids, s."""

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


def is_active(analysis, codes, begin_s, end_s):
    chosen = (analysis.time_s > begin_s) & (analysis.time_s <= end_s)
    units = [CODES.index(code) for code in codes]
    return bool(analysis.active[chosen][:, units].any())


@pytest.mark.parametrize('span', BLINKS)
def test_every_blink_is_seen(analysis, span):
    assert is_active(analysis, (45,), *span)


def test_every_blink_is_reported_as_such(analysis):
    blinks = [
        analysis.seconds(movement.expression.apex_ns)
        for movement in analysis.movements
        if movement.expression.kind is ExpressionKind.BLINK
    ]
    found = [any(begin_s < t < end_s for t in blinks) for begin_s, end_s in BLINKS]
    assert all(found), found


def test_the_face_is_found_within_a_second(analysis):
    """It hardly moves until then, and turns at 0.9 s."""
    assert analysis.time_s[analysis.face >= 0][0] < 1.0


def test_the_lips_part_in_speech_and_rest_afterwards(analysis):
    begin_s, end_s = SPEECH
    assert is_active(analysis, (25, 26), begin_s, end_s)
    assert not is_active(analysis, (25, 26), end_s + 0.5, 12.1)


def test_nothing_is_found_where_nothing_moves(analysis):
    for begin_s, end_s in STILL:
        found = [
            movement
            for movement in analysis.movements
            if begin_s < analysis.seconds(movement.expression.onset_ns) < end_s
        ]
        assert not found, found
