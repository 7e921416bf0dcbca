"""Recordings, read as anybody reads a bag."""

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from fake_clips import fake_metadata, needs_face

from microexpr_ros import bags, facs
from microexpr_ros.alignment.synchronizer import Synchronizer, SynchronizerOptions
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Frame
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.region import Region
from microexpr_ros.jobs import Share
from microexpr_ros.synthesis.dataset import bags as recording
from microexpr_ros.synthesis.dataset import splits
from microexpr_ros.synthesis.dataset.bags import (
    EPOCH_NS,
    STORIES,
    RecordingMetadata,
    generate_recordings,
    make_recording,
)
from microexpr_ros.synthesis.dataset.recipe import Recipe
from microexpr_ros.synthesis.dataset.take import sample_take
from microexpr_ros.synthesis.sensors import event_sensor

pytestmark = needs_face

RECIPE = Recipe('test', 1, 'davis346', 'bright')


@pytest.fixture(scope='module')
def small():
    """A sensor so small that a take is quick to make."""
    with pytest.MonkeyPatch.context() as patch:
        tiny = replace(event_sensor.SENSORS['davis346'], width=120, height=90)
        patch.setitem(event_sensor.SENSORS, 'davis346', tiny)
        yield


@pytest.fixture(scope='module')
def folder(tmp_path_factory, small):
    root = tmp_path_factory.mktemp('data')
    return generate_recordings(root, RECIPE, 1, readout_ns=8_000_000) / 'clip-000000'


@pytest.fixture(scope='module')
def truth(folder):
    with np.load(folder / 'labels.npz', allow_pickle=False) as archive:
        return dict(archive)


def read(folder, topic):
    store = bags.typestore()
    for message in bags.read_messages(folder / 'bag', [topic]):
        yield message.time_ns, store.deserialize_cdr(message.cdr, message.type)


def ns(stamp):
    return stamp.sec * 10**9 + stamp.nanosec


def test_the_bag_has_all_topics_in_order(folder, truth):
    duration_ns = int(truth['t_ns'][-1])
    bag = bags.read_contents(folder / 'bag')
    assert bag.complete
    counts = {topic.name: topic.messages for topic in bag.topics}
    frames = len(truth['frame_open_ns'])
    assert counts.pop('/event_camera/events') > 50
    assert counts == {
        '/event_camera/camera_info': -(-duration_ns // 100_000_000),
        '/rgb_camera/image_raw': frames,
        '/rgb_camera/camera_info': frames,
        '/ground_truth/action_units': duration_ns // 10_000_000,
        '/ground_truth/micro_expressions': counts['/ground_truth/micro_expressions'],
    }
    assert frames == pytest.approx(duration_ns * 30e-9, abs=2)
    times = [message.time_ns for message in bags.read_messages(folder / 'bag')]
    assert times == sorted(times)
    assert times[0] >= EPOCH_NS
    assert times[-1] <= EPOCH_NS + duration_ns + 2_000_000


def test_the_events_are_read_as_those_of_any_recording(folder, truth):
    found = open_recording(folder / 'bag')
    assert (found.width, found.height) == (120, 90)
    parts = [events for events, _ in found.chunks()]
    events = Events(*(np.concatenate([getattr(p, n) for p in parts]) for n in 'txyp'))
    assert len(events) > 500
    assert found.dropped == 0
    assert events.t[-1] < truth['t_ns'][-1]
    # Most of what happens is where the face is.
    x, y, width, height = np.median(truth['box'], axis=0)
    near = (np.abs(events.x - x - width / 2) < width) & (
        np.abs(events.y - y - height / 2) < height
    )
    assert near.mean() > 0.7


def test_it_is_the_take_of_the_clip_with_the_same_number(truth, small):
    take = sample_take(RECIPE, 0)
    metadata = json.loads(truth['metadata'].tobytes())
    assert metadata['identity'] == take.scene.person.identity.number
    assert metadata['light'] == take.scene.light.name == 'bright'
    assert (metadata['split'], metadata['seed'], metadata['index']) == ('test', 1, 0)
    assert metadata['onset_ns'] == take.motion.onset_ns
    wanted = take.motion.intensity(truth['t_ns'])
    np.testing.assert_allclose(truth['intensity'].max(axis=2), wanted)
    np.testing.assert_array_equal(
        truth['unit_code'], [one.code for one in take.motion.activations]
    )


def test_units_are_published_as_the_classifier_does(folder, truth):
    for number, (time_ns, message) in enumerate(read(folder, '/ground_truth/action_units'), 1):
        end_ns = number * 10_000_000
        assert time_ns == ns(message.header.stamp) == EPOCH_NS + end_ns
        assert [unit.code for unit in message.units] == list(facs.CODES)
        sides = truth['intensity'][end_ns // 1_000_000]
        levels = sides.max(axis=1)
        np.testing.assert_array_equal([(unit.left, unit.right) for unit in message.units], sides)
        np.testing.assert_allclose([unit.intensity for unit in message.units], levels, atol=1e-6)
        assert [unit.active for unit in message.units] == (levels >= 0.05).tolist()


def test_movements_are_published_when_they_are_over(folder, truth):
    found = list(read(folder, '/ground_truth/micro_expressions'))
    codes = Counter(code for _, message in found for code in message.codes.tolist())
    assert codes == Counter(truth['unit_code'].tolist())
    for time_ns, message in found:
        assert ns(message.onset) < ns(message.apex) == ns(message.header.stamp)
        assert time_ns == min(ns(message.offset), EPOCH_NS + int(truth['t_ns'][-1]))
        assert message.micro == (ns(message.offset) - ns(message.onset) < 500_000_000)
        assert (message.kind == facs.ExpressionKind.BLINK) == (message.codes.tolist() == [45])


def test_the_frames_clock_errs_by_what_the_labels_say(folder, truth):
    middle = (truth['frame_open_ns'] + truth['frame_close_ns']) // 2
    stamps = [ns(m.header.stamp) for _, m in read(folder, '/rgb_camera/image_raw')]
    np.testing.assert_array_equal(np.array(stamps) - EPOCH_NS, truth['frame_stamp_ns'])
    error = truth['frame_stamp_ns'] - middle
    assert np.abs(error - truth['clock_offset_ns']).max() < 5 * truth['clock_jitter_ns'] + 1e5
    periods = np.diff(truth['frame_open_ns']) * (1 + truth['clock_drift'])
    np.testing.assert_allclose(periods, 1e9 / 30, atol=2)
    assert truth['readout_ns'] == 8_000_000
    received = [time_ns for time_ns, _ in read(folder, '/rgb_camera/image_raw')]
    np.testing.assert_array_equal(np.array(received) - EPOCH_NS, truth['frame_close_ns'])


def test_both_cameras_are_described_alike(folder, truth):
    for topic in ('/event_camera/camera_info', '/rgb_camera/camera_info'):
        for _, message in read(folder, topic):
            assert (message.width, message.height) == (120, 90)
            np.testing.assert_allclose(message.k.reshape(3, 3), truth['camera_matrix'])
            np.testing.assert_allclose(message.p.reshape(3, 4)[:, :3], truth['camera_matrix'])


def test_frames_are_coloured_and_show_the_face(folder, truth):
    for _, message in read(folder, '/rgb_camera/image_raw'):
        assert message.encoding == 'rgb8'
        pixels = message.data.reshape(message.height, message.width, 3).astype(float)
        x, y, width, height = truth['box'][len(truth['box']) // 2].astype(int)
        skin = pixels[y : y + height, x : x + width].mean(axis=(0, 1))
        # Skin is redder than it is blue, whosever it is.
        assert skin[0] > skin[1] > skin[2] > 5


def test_the_synchronizer_takes_the_bag(folder, truth):
    from microexpr_ros.events import codecs

    synchronizer = Synchronizer(90, 120, SynchronizerOptions(region=Region(0, 0, 90, 90)))
    decoder = codecs.decoder('evt3', 90, 120)
    slices, store = [], bags.typestore()
    topics = ['/event_camera/events', '/rgb_camera/image_raw']
    for message in bags.read_messages(folder / 'bag', topics):
        if message.type == bags.IMAGE:
            image = store.deserialize_cdr(message.cdr, message.type)
            pixels = image.data.reshape(image.height, image.width, 3)
            synchronizer.push_frame(Frame(ns(image.header.stamp), pixels))
            continue
        packet = bags.deserialize_packet(message.cdr, 'the bag')
        events, _ = decoder.decode(packet.events, packet.time_base)
        slices += synchronizer.push(events, int(events.t[0]), packet.stamp_ns)
    duration_ns = int(truth['t_ns'][-1])
    assert len(slices) == pytest.approx(duration_ns / 1e7, abs=5)
    assert synchronizer.clock_jumps == 0
    assert synchronizer.clock.estimate.offset_ns == pytest.approx(EPOCH_NS, abs=1000)


def test_recordings_are_made_once_and_shared_out(tmp_path, monkeypatch):
    made = []

    def pretend(path, recipe, index, readout_ns, kind):
        made.append(index)
        path.mkdir()
        metadata = RecordingMetadata(
            **asdict(fake_metadata(recipe, index)), split='test', duration_ns=10**9, events=5
        )
        text = np.frombuffer(json.dumps(metadata.to_json()).encode(), np.uint8)
        np.savez(path / 'labels.npz', metadata=text)

    monkeypatch.setattr(recording, 'make_recording', pretend)
    seen = []
    generate_recordings(tmp_path, RECIPE, 5, share=Share(2, 2), progress=lambda *n: seen.append(n))
    assert made == [1, 3]
    assert seen == [(0, 2), (1, 2), (2, 2)]
    generate_recordings(tmp_path, RECIPE, 5)
    assert made == [1, 3, 0, 2, 4]
    with pytest.raises(MicroexprError, match='seed 1 instead of 2'):
        generate_recordings(tmp_path, replace(RECIPE, seed=2), 5)
    with pytest.raises(MicroexprError, match='readout_ns 0 instead of 5000000'):
        generate_recordings(tmp_path, RECIPE, 5, readout_ns=5_000_000)
    with pytest.raises(MicroexprError, match='--rolling-shutter-ms 40'):
        generate_recordings(tmp_path, RECIPE, 5, readout_ns=40_000_000)


def test_the_same_number_gives_the_same_recording(folder, truth, tmp_path, small):
    make_recording(tmp_path / 'again', RECIPE, 0, 8_000_000)
    with np.load(tmp_path / 'again/labels.npz', allow_pickle=False) as again:
        assert set(again) == set(truth)
        for name in truth:
            np.testing.assert_array_equal(again[name], truth[name])
    first, second = (
        [(m.topic, m.time_ns, m.cdr) for m in bags.read_messages(path / 'bag')]
        for path in (folder, tmp_path / 'again')
    )
    assert first == second
    assert not list(tmp_path.glob('.*'))


def test_a_whole_split_has_a_card_and_checksums_that_find_damage(folder, small):
    root = folder.parents[2]
    assert recording.check_recordings(root, 'test') == (folder.parent, 1)
    card = json.loads((folder.parent / 'card.json').read_text())
    assert card['clips'] == 1
    assert card['sensors'] == {'davis346': 1}
    path = folder / 'labels.npz'
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(MicroexprError, match=r'clip-000000/labels\.npz'):
        recording.check_recordings(root, 'test')
    # The same command repairs it, byte by byte.
    generate_recordings(root, RECIPE, 1, readout_ns=8_000_000)
    assert path.read_bytes() == whole
    assert recording.check_recordings(root, 'test') == (folder.parent, 1)
    with pytest.raises(MicroexprError, match='microexpr synth --bags'):
        recording.check_recordings(root, 'train')


def test_the_schema_names_every_array_and_topic(folder, truth):
    schema = (Path(__file__).parents[3] / 'docs/data.md').read_text('utf-8')
    topics = {message.topic for message in bags.read_messages(folder / 'bag')}
    for name in {*truth, *topics, *json.loads(truth['metadata'].tobytes())}:
        assert f'`{name}`' in schema


def test_a_story_is_a_recording_of_its_own_length_and_person(tmp_path, small, monkeypatch):
    monkeypatch.setattr(splits, 'STORY_NS', 1_000_000_000)
    folder = generate_recordings(tmp_path, RECIPE, 2, kind=STORIES)
    assert folder == tmp_path / 'test' / 'stories'
    found = [recording.read_metadata(folder / f'story-00000{n}' / 'labels.npz') for n in (0, 1)]
    assert [metadata.duration_ns for metadata in found] == [1_000_000_000] * 2
    assert found[0].identity != found[1].identity
    assert recording.check_recordings(tmp_path, 'test', STORIES) == (folder, 2)
    with np.load(folder / 'story-000000' / 'labels.npz', allow_pickle=False) as labels:
        points, five = labels['landmarks'], labels['face_landmarks']
    # Each of the five is among the 68, or between them.
    assert five.shape == (1001, 5, 2)
    assert (five >= points.min(axis=1, keepdims=True)).all()
    assert (five <= points.max(axis=1, keepdims=True)).all()
    (folder / 'story-000001' / 'labels.npz').write_bytes(b'')
    with pytest.raises(MicroexprError, match='synth --story'):
        recording.check_recordings(tmp_path, 'test', STORIES)
