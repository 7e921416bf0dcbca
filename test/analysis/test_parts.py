"""Recordings that are cut, against the same as a whole."""

import numpy as np
import pytest
from counting_network import counting_classifier
from face_bags import write_face_bag
from fake_clips import needs_face
from moving_faces import make_face, write_face

from microexpr_ros.alignment.synchronizer import SynchronizerOptions
from microexpr_ros.analysis import analyze_recording
from microexpr_ros.analysis.parts import Cutting, analyze_part, join_parts
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.region import Region
from microexpr_ros.perception.classifier import ActionUnitClassifier

S = 1_000_000_000


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp('bags') / 'face'
    write_face_bag(path, 2.6)
    return path


def analyze_in_parts(path, classifier, cutting, options=None):
    first = analyze_part(open_recording(path), classifier, None, options, cutting=cutting)
    rest = [
        analyze_part(open_recording(path), classifier, start, options, cutting=cutting)
        for start in first.starts
    ]
    return [first, *rest]


def test_parts_have_every_slice_once_with_the_regions_and_stamps_of_the_whole(path):
    classifier = counting_classifier()
    whole = analyze_recording(open_recording(path), classifier)
    parts = analyze_in_parts(path, classifier, Cutting(S, S // 2, S // 5))
    assert [len(part.analysis) for part in parts] == [100, 100, 60]
    joined = join_parts(parts)
    for name in ('clock_ns', 'stamp_ns', 'face', 'region'):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    for name in ('events', 'frames', 'losses', 'held', 'damage', 'start_ns'):
        assert getattr(joined, name) == getattr(whole, name)


def test_a_part_can_be_tried_again(path):
    classifier, cutting = counting_classifier(), Cutting(S, S // 2, S // 5)
    first = analyze_part(open_recording(path), classifier, cutting=cutting)
    one, two = (
        analyze_part(open_recording(path), classifier, first.starts[0], cutting=cutting).analysis
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.sides, two.sides)
    np.testing.assert_array_equal(one.stamp_ns, two.stamp_ns)


def test_a_recording_that_is_short_is_one_part(path):
    classifier = counting_classifier()
    [part] = analyze_in_parts(path, classifier, Cutting())
    whole = analyze_recording(open_recording(path), classifier)
    np.testing.assert_array_equal(part.analysis.sides, whole.sides)
    assert join_parts([part]).movements == whole.movements


@needs_face
@pytest.mark.slow
def test_away_from_the_cuts_intensities_are_those_of_the_whole(tmp_path):
    path = tmp_path / 'face'
    write_face(path, *make_face('bright', 0, seconds=24.0))
    classifier = ActionUnitClassifier.load()
    options = SynchronizerOptions(region=Region(15, 0, 90, 90))
    whole = analyze_recording(open_recording(path), classifier, options)
    # The network of the second part begins at rest 2 s after the recording does.
    joined = join_parts(analyze_in_parts(path, classifier, Cutting(every_ns=22 * S), options))
    assert len(joined) == len(whole)
    away = np.abs(whole.time_s - 22) > 0.5
    later = whole.time_s > 22.5
    assert whole.intensity[later].max() > 0.05
    assert np.abs(joined.intensity - whole.intensity)[away].max() <= 0.01
