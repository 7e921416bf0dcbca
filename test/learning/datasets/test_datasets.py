"""Readers of published data sets, on small files of their layouts."""

import numpy as np
import pytest
from labelled_faces import (
    SECONDS,
    write_dvs_lip,
    write_facemorphic,
    write_fes,
    write_nefer,
    write_raw,
)

from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import CODES
from microexpr_ros.learning.datasets import DATASETS, read_dataset

WRITERS = {
    'nefer': write_nefer,
    'facemorphic': write_facemorphic,
    'dvs-lip': write_dvs_lip,
    'fes': write_fes,
}


def read(name, path, split='test'):
    return read_dataset(DATASETS[name], path, split)


@pytest.mark.parametrize('name', DATASETS)
def test_events_of_every_layout_are_read(name, tmp_path):
    WRITERS[name](tmp_path)
    for recording in read(name, tmp_path):
        opened = recording.open()
        assert (opened.width, opened.height) == (128, 128)
        times = np.concatenate([events.t for events, _ in opened.chunks()])
        assert times[-1] - times[0] == pytest.approx(SECONDS * 1e9, rel=0.01)


@pytest.mark.parametrize('name', DATASETS)
def test_units_that_are_scored_are_known(name):
    assert set(DATASETS[name].units) <= set(CODES)


@pytest.mark.parametrize('name', DATASETS)
def test_who_has_no_data_is_told_where_they_are(name, tmp_path):
    source = {
        'nefer': 'miccunifi/NEFER',
        'facemorphic': 'arxiv.org/abs/2409.10213',
        'dvs-lip': 'tgc1997/event-based-lip-reading',
        'fes': 'huggingface.co/datasets/issai',
    }[name]
    with pytest.raises(MicroexprError, match=f'does not exist: .*{source}'):
        read(name, tmp_path / 'missing')
    with pytest.raises(MicroexprError, match=f'does not hold {name}: .* must hold .*{source}'):
        read(name, tmp_path)
    with pytest.raises(MicroexprError, match="--split 'dev' is not one of"):
        read(name, tmp_path, 'dev')


def test_emotions_are_weak_labels_of_units(tmp_path):
    write_nefer(tmp_path)
    units = {one.person: sorted(one.units) for one in read('nefer', tmp_path)}
    assert units == {'user_03': [6, 12], 'user_07': [1, 4, 15], 'user_17': []}
    (trained,) = read('nefer', tmp_path, 'train')
    assert sorted(trained.units) == [1, 2, 4, 5, 7, 20, 26]


def test_a_user_in_both_splits_is_refused(tmp_path):
    write_nefer(tmp_path, (('user_01', 'Anger'),))
    with pytest.raises(MicroexprError, match='user_01 is in both splits'):
        read('nefer', tmp_path)


def test_an_emotion_that_is_not_documented_is_refused(tmp_path):
    write_nefer(tmp_path, (('user_03', 'Boredom'),))
    with pytest.raises(MicroexprError, match='Boredom'):
        read('nefer', tmp_path)


def test_a_recording_may_lie_anywhere_and_without_its_suffix(tmp_path):
    write_nefer(tmp_path)
    (file,) = (tmp_path / 'event_raw' / 'user_03').iterdir()
    file.rename(tmp_path / 'event_raw' / file.name.replace('_cd', ''))
    assert [one.person for one in read('nefer', tmp_path)] == ['user_03', 'user_07', 'user_17']


def test_actions_are_units_speech_or_motion_of_the_head(tmp_path):
    write_facemorphic(tmp_path)
    found = {one.name.split('/')[1]: one for one in read('facemorphic', tmp_path)}
    assert {name: (one.shows, sorted(one.units)) for name, one in found.items()} == {
        'AU_12': ('expression', [12]),
        'AU_4': ('expression', [4]),
        'AU_53': ('head', []),
        'AU_READING': ('speech', []),
    }
    assert {one.person for one in found.values()} == {'u1'}
    assert {one.person for one in read('facemorphic', tmp_path, 'train')} == {
        'u2', 'u3', 'u4', 'u5',
    }  # fmt: skip


def test_frames_of_an_annotation_are_times(tmp_path):
    write_facemorphic(tmp_path)
    found = {one.name.split('/')[1]: one.interval_s for one in read('facemorphic', tmp_path)}
    # Frames 6 to 23 of 30 a second; the first ends a frame's time after the events begin.
    assert found['AU_12'] == pytest.approx((6 / 30, 24 / 30), abs=0.002)
    assert found['AU_4'] is None


def test_speech_opens_the_mouth(tmp_path):
    write_dvs_lip(tmp_path)
    found = read('dvs-lip', tmp_path)
    assert [one.name for one in found] == ['action/0', 'house/0']
    assert {one.person for one in found} == {''}
    assert all(one.units == {25, 26} for one in found)


def test_boxes_and_landmarks_are_tied_to_recordings_by_name(tmp_path):
    write_fes(tmp_path)
    lab, wild = read('fes', tmp_path)
    assert (lab.person, wild.person) == ('20210923_0', '')
    np.testing.assert_allclose(lab.faces.time_s, [0, 1 / 3])
    np.testing.assert_allclose(lab.faces.boxes, [[20, 30, 80, 80]] * 2)
    np.testing.assert_allclose(lab.faces.landmarks[1, 2], [60, 70])
    np.testing.assert_allclose(wild.faces.time_s, [0.5])
    np.testing.assert_allclose(wild.faces.boxes, [[0, 0, 40, 40]])
    np.testing.assert_allclose(wild.faces.landmarks[0, 4], [24, 24])


def test_what_is_not_documented_is_not_read(tmp_path):
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train' / 'a.h5').write_bytes(b'')
    with pytest.raises(MicroexprError, match='the raw recordings are needed'):
        read('fes', tmp_path)
    write_raw(tmp_path / 'b.raw')
    (tmp_path / 'b.xml').write_text('<annotations><track><box frame="x"/></track></annotations>')
    with pytest.raises(MicroexprError, match=r'b\.xml cannot be read'):
        read('fes', tmp_path)
