import numpy as np
import pytest
from fake_clips import needs_face

from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.sensors.streaming import stream


@needs_face
def test_a_stream_follows_on_without_gaps():
    chunks = list(stream(1, 'davis346', 100_000_000))
    assert [chunk.start_ns for chunk in chunks] == list(range(0, 100_000_000, 10_000_000))
    for chunk in chunks:
        assert chunk.end_ns == chunk.start_ns + 10_000_000
        if len(chunk.events):
            assert chunk.start_ns <= chunk.events.t[0]
            assert chunk.events.t[-1] < chunk.end_ns
            assert (np.diff(chunk.events.t) >= 0).all()
    frames = [frame for chunk in chunks for frame in chunk.frames]
    assert len(frames) == 3
    assert frames[0][1].shape == (260, 346, 3)
    assert frames[0][1].dtype == np.uint8
    with pytest.raises(MicroexprError, match='multiple'):
        next(stream(1, 'davis346', 15_000_000))
