"""From slices to estimates and movements, with a network that moves as it is told."""

from counting_network import PULSES, counting_classifier

from microexpr_ros.alignment.frame_alignment import SyncSource
from microexpr_ros.alignment.slices import Slice, blank_slice
from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.analysis import read_faces
from microexpr_ros.facs import ExpressionKind

MS = 1_000_000
EPOCH = 10**18


def make_slices(count, faces=lambda number: 0):
    """Yield slices whose stamps are twice as far apart as they are long."""
    blank = blank_slice(128)
    for number in range(1, count + 1):
        face = faces(number)
        slice_ = Slice(
            EPOCH + 20 * number * MS,
            10 * MS,
            blank.region if face >= 0 else None,
            blank.counts,
            0,
            sensor_end_ns=10 * number * MS,
        )
        yield AlignedSlice(slice_, face, SyncSource.NONE, 0.0, 0)


def movements(slices):
    return [
        movement
        for analyzed in read_faces(slices, counting_classifier())
        for movement in analyzed.movements
    ]


def test_movements_have_sensor_times_and_stamps():
    expression, blink, *speech = movements(make_slices(260))
    assert expression.expression.codes == (1, 12)
    assert blink.expression.kind is ExpressionKind.BLINK
    assert [one.expression.kind for one in speech] == [ExpressionKind.SPEECH] * 3
    for movement in (expression, blink, *speech):
        found = movement.expression
        assert movement.onset_stamp_ns == EPOCH + 2 * found.onset_ns
        assert movement.apex_stamp_ns == EPOCH + 2 * found.apex_ns
        assert movement.offset_stamp_ns == EPOCH + 2 * found.offset_ns
    first, last = PULSES[0][1], PULSES[1][2]
    assert (first - 6) * 10 * MS <= expression.expression.onset_ns < (first + 10) * 10 * MS
    assert expression.expression.offset_ns <= last * 10 * MS + 10 * MS


def test_what_is_held_back_at_the_end_comes_with_the_last_slice():
    # The slices end within the pause after the first syllable.
    *_, last = read_faces(make_slices(162), counting_classifier())
    assert [one.expression.codes for one in last.movements] == [(25,)]


def test_another_face_begins_anew():
    analyzed = list(
        read_faces(make_slices(260, lambda number: int(number > 150)), counting_classifier())
    )
    assert len(analyzed) == 260
    faces = [movement.face for one in analyzed for movement in one.movements]
    assert faces == sorted(faces)
    assert set(faces) == {0, 1}
    # The network of the second face has seen 60 slices when it reaches the expression's end.
    second = [m for one in analyzed for m in one.movements if m.face == 1]
    assert second[0].expression.codes == (1, 12)
    assert second[0].expression.onset_ns > 1500 * MS


def test_without_slices_there_is_nothing():
    assert list(read_faces([], counting_classifier())) == []
