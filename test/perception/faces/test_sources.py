"""What faces of recordings are found in."""

import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.perception.faces import EventFaceTracker, landmarker
from microexpr_ros.perception.faces.frame_tracker import FrameFaceTracker
from microexpr_ros.perception.faces.sources import open_trackers, uses_frames


@pytest.mark.parametrize('installed', [True, False])
def test_auto_takes_frames_where_mediapipe_is_installed(monkeypatch, installed):
    monkeypatch.setattr(landmarker, '_find_missing', lambda: [] if installed else ['mediapipe'])
    assert uses_frames('auto') == installed
    assert not uses_frames('events')
    with open_trackers('auto') as make_tracker:
        kind = FrameFaceTracker if installed else EventFaceTracker
        assert isinstance(make_tracker(480, 640), kind)


def test_frames_need_mediapipe_which_is_named(monkeypatch):
    monkeypatch.setattr(landmarker, '_find_missing', lambda: ['mediapipe'])
    with pytest.raises(MicroexprError, match=r'mediapipe.*requirements/peers\.txt'):
        uses_frames('rgb')


def test_a_source_that_is_not_known_is_refused():
    with pytest.raises(MicroexprError, match="'hri' is none of auto, rgb, events"):
        uses_frames('hri')
