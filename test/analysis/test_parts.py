"""Recordings that are cut, against the same as a whole."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from counting_network import counting_classifier
from face_bags import write_face_bag
from fake_clips import needs_face
from moving_faces import make_face, write_face

from microexpr_ros.alignment.synchronizer import SynchronizerOptions
from microexpr_ros.analysis import analyze_recording
from microexpr_ros.analysis.parts import analyze_part, join_parts
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.region import Region
from microexpr_ros.perception.classifier import ActionUnitClassifier

S = 1_000_000_000


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp('bags') / 'face'
    write_face_bag(path, 2.6)
    return path


def analyze_in_parts(path, classifier, part_ns, options=None, **settings):
    """Return all parts, each analyzed as if by another process."""
    parts, start = [], None
    while not parts or start is not None:
        recording = open_recording(path, **settings)
        part = analyze_part(recording, classifier, start, options, part_ns=part_ns)
        parts.append(part)
        start = pickle.loads(pickle.dumps(part.next))
    return parts


def assert_same(joined, whole):
    for name in whole.__dataclass_fields__:
        np.testing.assert_equal(getattr(joined, name), getattr(whole, name), name)


def test_parts_together_are_the_whole(path):
    classifier = counting_classifier()
    whole = analyze_recording(open_recording(path), classifier)
    parts = analyze_in_parts(path, classifier, S)
    assert [part.number for part in parts] == [0, 1, 2]
    cuts = [int(part.analysis.clock_ns[0] - whole.start_ns) for part in parts]
    # The synchronizer holds the last slices back until it has seen what follows them.
    assert all(0 <= n * S + S // 100 - cut < S // 10 for n, cut in enumerate(cuts))
    assert whole.movements
    assert_same(join_parts(parts), whole)


def test_a_part_can_be_tried_again(path):
    classifier = counting_classifier()
    first = analyze_part(open_recording(path), classifier, part_ns=S)
    one, two = (
        analyze_part(open_recording(path), classifier, first.next, part_ns=S).analysis
        for _ in range(2)
    )
    assert_same(one, two)


def test_a_recording_that_is_short_is_one_part(path):
    classifier = counting_classifier()
    [part] = analyze_in_parts(path, classifier, 60 * S)
    assert_same(part.analysis, analyze_recording(open_recording(path), classifier))


def test_minutes_in_which_nothing_happens_are_no_parts(tmp_path):
    table = np.zeros(4, [('t', 'i8'), ('x', 'u2'), ('y', 'u2'), ('p', '?')])
    table['t'] = (0, 5_000, 7_000_000, 7_005_000)
    np.save(tmp_path / 'events.npy', table)
    options = SynchronizerOptions(region=Region(0, 0, 48, 48))
    settings = {'sensor': (64, 48), 'time_unit': 'us'}
    recording = open_recording(tmp_path / 'events.npy', **settings)
    whole = analyze_recording(recording, counting_classifier(), options)
    parts = analyze_in_parts(
        tmp_path / 'events.npy', counting_classifier(), S, options, **settings
    )
    assert len(parts) == 2
    assert_same(join_parts(parts), whole)


def test_noise_that_the_network_never_forgets_is_cut_without_a_trace(tmp_path):
    random = np.random.default_rng(3)
    count = 60_000
    table = np.zeros(count, [('t', 'i8'), ('x', 'u2'), ('y', 'u2'), ('p', '?')])
    table['t'] = np.sort(random.integers(0, 1_200_000, count))
    table['x'], table['y'] = random.integers(0, 64, count), random.integers(0, 48, count)
    table['p'] = random.integers(0, 2, count)
    np.save(tmp_path / 'noise.npy', table)
    classifier = ActionUnitClassifier.load()
    options = SynchronizerOptions(region=Region(8, 0, 48, 48))
    settings = {'sensor': (64, 48), 'time_unit': 'us'}
    recording = open_recording(tmp_path / 'noise.npy', **settings)
    whole = analyze_recording(recording, classifier, options)
    assert whole.intensity.max() > 0
    assert (np.diff(whole.sides, axis=0) != 0).any((1, 2)).all()
    parts = analyze_in_parts(tmp_path / 'noise.npy', classifier, 2 * S // 5, options, **settings)
    assert len(parts) == 3
    assert_same(join_parts(parts), whole)


@needs_face
@pytest.mark.slow
def test_a_face_with_frames_is_cut_without_a_trace(tmp_path):
    path = tmp_path / 'face'
    write_face(path, *make_face('bright', 0, seconds=6.0))
    classifier = ActionUnitClassifier.load()
    whole = analyze_recording(open_recording(path), classifier, SynchronizerOptions(faces=2))
    parts = analyze_in_parts(path, classifier, 2 * S, SynchronizerOptions(faces=2))
    assert len(parts) == 3
    assert whole.frames > 100
    joined = join_parts(parts)
    assert_same(replace(joined, damage=()), replace(whole, damage=()))
