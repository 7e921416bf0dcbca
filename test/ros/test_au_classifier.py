"""The running classifier, with faces and without."""

from dataclasses import replace

import numpy as np
import pytest
from microexpr_ros.msg import ActionUnitArray, AlignedEvents, MicroExpression
from std_srvs.srv import Trigger

from microexpr_ros.alignment.frame_alignment import SyncSource
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.facs import CODES
from microexpr_ros.perception import spotting
from microexpr_ros.perception.classifier import ActionUnitClassifier, Status
from microexpr_ros.perception.neutral import Neutral
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import aligned_to_message, to_ns
from microexpr_ros.ros.nodes.au_classifier import ActionUnitClassifierNode

STEP_NS = 10_000_000
REGION = AlignedRegion(138, 148, 256)
FACE = np.zeros((128, 128))
FACE[32:80, 48:80] = 0.05
HEAD = np.full((128, 128), 0.2)
STILL = np.zeros((128, 128))


class Scene:
    """Publishes slices to a running classifier, and collects its estimates."""

    def __init__(self, world, **parameters):
        self.world = world
        self.node = world.add(ActionUnitClassifierNode, **parameters)
        tester = world.tester
        self.units, self.raw, self.stale = [], [], []
        for topic, seen in (('au_predictions', self.units), ('au_predictions/raw', self.raw)):
            tester.create_subscription(
                ActionUnitArray,
                topic,
                # Apart, as a slow machine makes more of them.
                lambda m, s=seen: (self.stale if m.state == Status.STALE else s).append(m),
                qos.RESULTS,
            )
        self._publisher = tester.create_publisher(AlignedEvents, 'aligned_events', qos.SLICES)
        self._clients = {
            name: tester.create_client(Trigger, f'au_classifier/{name}')
            for name in ('reset', 'calibrate_neutral', 'clear_neutral')
        }
        self._end_ns = 0

    def start(self):
        self.node.start()
        self.world.until(lambda: self._publisher.get_subscription_count() == 1)
        self.world.until(lambda: all(c.service_is_ready() for c in self._clients.values()))
        for publisher in (self.node._units, self.node._raw):
            self.world.until(lambda p=publisher: p.get_subscription_count() == 1)
        return self

    def show_both(self, rates, slices, first=0):
        """Publish slices of two faces, whose events come at rates of their own.

        Args:
            rates: of each face, events per cell.
            slices: of each.
            first: number of the first face; that of the second follows.
        """
        randoms = [np.random.default_rng(number) for number in range(2)]
        for _ in range(slices):
            self._end_ns += STEP_NS
            before = len(self.raw)
            for number, random in enumerate(randoms):
                self._publish(random.poisson(rates[number], (2, 128, 128)), first + number)
            self.world.until(lambda n=before + 2: min(len(self.raw), len(self.units)) >= n)

    def _publish(self, counts, face):
        counts, region = counts.astype(np.uint8), None if face is None else REGION
        slice_ = Slice(self._end_ns, STEP_NS, region, counts, int(counts.sum()))
        number = -1 if face is None else face
        aligned = AlignedSlice(slice_, number, SyncSource.NONE, 0.0, 0)
        self._publisher.publish(aligned_to_message(aligned, 'event_camera', 0))

    def show(self, rates, slices, face=0, seed=0):
        """Publish slices with events at a rate per cell; return what was said of the last."""
        random = np.random.default_rng(seed)
        before = len(self.raw)
        for done in range(0, slices, 50):
            for _ in range(min(50, slices - done)):
                self._end_ns += STEP_NS
                self._publish(random.poisson(rates, (2, 128, 128)), face)
            expected = before + min(done + 50, slices)
            self.world.until(lambda n=expected: min(len(self.raw), len(self.units)) >= n)
        return self.units[-1]

    def ask(self, name):
        return self._clients[name].call_async(Trigger.Request())

    def answer(self, call):
        self.world.until(call.done)
        return call.result().success, call.result().message


def intensity(message):
    return np.array([unit.intensity for unit in message.units], np.float32)


def sides(message):
    return np.array([(unit.left, unit.right) for unit in message.units], np.float32)


@pytest.fixture
def scene(world):
    return Scene(world, neutral_s=0.5, stale_after_s=0.4).start()


@pytest.fixture
def patient(world):
    """A scene that never becomes stale, however long the machine takes."""
    return Scene(world, neutral_s=0.5, stale_after_s=60.0).start()


def test_every_state_is_told_as_it_comes_about(scene, world):
    scene.show(FACE, 25)
    assert [m.state for m in scene.units] == [Status.WARMING_UP] * 19 + [Status.OK] * 6
    assert scene.show(HEAD, 40).state == Status.HEAD_MOVING
    assert scene.show(FACE, 60).state == Status.OK
    assert scene.show(STILL, 500).state == Status.TOO_FEW_EVENTS
    lost = scene.show(STILL, 2, face=None)
    assert (lost.state, lost.face_id) == (Status.NO_FACE, '')
    assert not intensity(lost).any()
    assert not any(unit.active or unit.confidence for unit in lost.units)
    assert scene.show(FACE, 1, face=1).state == Status.WARMING_UP
    last = scene.show(FACE, 30, face=1)
    assert (last.state, last.face_id) == (Status.OK, 'face_1')
    scene.stale.clear()
    world.until(lambda: len(scene.stale) >= 2)
    stale = scene.stale[-1]
    assert stale.header.stamp == last.header.stamp
    np.testing.assert_array_equal(intensity(stale), intensity(last))
    assert not any(unit.confidence for unit in stale.units)
    # Slices that come again do not follow on the last one.
    scene._end_ns += 50 * STEP_NS
    assert scene.show(FACE, 1, face=1).state == Status.WARMING_UP


def test_another_face_begins_as_the_first_one_did(scene):
    scene.show(FACE, 30)
    first = intensity(scene.show(HEAD, 30, seed=1))
    count = len(scene.raw)
    scene.show(FACE, 30, face=1)
    again = intensity(scene.show(HEAD, 30, face=1, seed=1))
    np.testing.assert_array_equal(again, first)
    assert scene.raw[count].state == Status.WARMING_UP
    # As the classifier reads it alone, from nothing.
    classifier = ActionUnitClassifier.load()
    state, random = classifier.initial_state(), np.random.default_rng(0)
    for number in range(1, 31):
        counts = random.poisson(FACE, (2, 128, 128)).astype(np.uint8)
        estimate, state = classifier.step(
            Slice(number * STEP_NS, STEP_NS, REGION, counts, 0), state
        )
    np.testing.assert_array_equal(sides(scene.raw[29]), estimate.sides)


def test_estimates_are_relative_to_the_neutral_face_once_it_was_measured(patient):
    scene = patient
    scene.show(FACE, 30)
    assert [intensity(m).tolist() for m in scene.units] == [
        intensity(m).tolist() for m in scene.raw
    ]
    call = scene.ask('calibrate_neutral')
    scene.world.run(0.3)
    assert not call.done()
    scene.show(FACE, 60)
    success, text = scene.answer(call)
    assert success
    assert text.startswith('neutral face from 50 slices: ')
    baseline = np.median([sides(m) for m in scene.raw[30:80]], axis=0)
    assert baseline.max() > 0
    assert scene.node.diagnose().values['neutral'] in text
    before = len(scene.raw)
    scene.show(HEAD, 40)
    presence = ActionUnitClassifier.load().presence
    for raw, shown in zip(scene.raw[before:], scene.units[before:], strict=True):
        assert raw.header.stamp == shown.header.stamp
        wanted = Neutral(baseline.astype(np.float32)).subtract(sides(raw))
        np.testing.assert_allclose(sides(shown), wanted, atol=1e-6)
        for message in (raw, shown):
            values, active = intensity(message), np.array([u.active for u in message.units])
            assert not np.any(active & (values < 0.69 * presence.threshold))
            assert not np.any(~active & (values > presence.threshold))
    assert any(
        (intensity(a) != intensity(b)).any()
        for a, b in zip(scene.raw[before:], scene.units[before:], strict=True)
    )


def calibrate(scene):
    call = scene.ask('calibrate_neutral')
    scene.world.run(0.3)
    scene.show(FACE, 60)
    assert scene.answer(call)[0]


def is_relative(scene):
    """Return whether the two outputs differ, for the last slices."""
    scene.show(HEAD, 30)
    pairs = zip(scene.raw[-5:], scene.units[-5:], strict=True)
    return any((intensity(raw) != intensity(shown)).any() for raw, shown in pairs)


def test_the_neutral_face_lasts_until_it_is_cleared_or_the_face_is_another(patient):
    scene = patient
    scene.show(FACE, 30)
    calibrate(scene)
    assert is_relative(scene)
    assert scene.answer(scene.ask('reset')) == (True, 'state cleared')
    assert is_relative(scene)
    assert scene.answer(scene.ask('clear_neutral')) == (True, 'neutral face forgotten')
    assert not is_relative(scene)
    assert scene.node.diagnose().values['neutral'] == 'all units at 0'
    scene.show(FACE, 50)
    calibrate(scene)
    scene.show(FACE, 30, face=1)
    scene.show(HEAD, 30, face=1)
    np.testing.assert_array_equal(intensity(scene.raw[-1]), intensity(scene.units[-1]))


@pytest.mark.parametrize(
    ('rates', 'face', 'reason'),
    [
        (HEAD, 0, 'the head moved'),
        (STILL, 0, 'too few events came'),
        (STILL, None, 'no face was found'),
    ],
)
def test_a_measurement_that_fails_says_why(patient, rates, face, reason):
    scene = patient
    scene.show(rates, 500 if rates is STILL else 40, face)
    call = scene.ask('calibrate_neutral')
    scene.world.run(0.3)
    scene.show(rates, 50, face)
    success, text = scene.answer(call)
    assert not success
    assert text == f'0 of 50 slices can be used: {text[text.index(reason) :]}'
    assert scene.node.diagnose().values['neutral'] == 'all units at 0'


def test_a_measurement_ends_with_the_slices_the_face_or_the_node(scene):
    scene.show(FACE, 30)
    assert scene.answer(scene.ask('calibrate_neutral')) == (
        False,
        'no slices come: does the synchronizer run?',
    )
    call = scene.ask('calibrate_neutral')
    scene.world.run(0.1)
    scene.show(FACE, 5, face=1)
    assert scene.answer(call) == (False, 'the face was lost, or another one came')
    call = scene.ask('calibrate_neutral')
    scene.world.run(0.1)
    scene.node.trigger_deactivate()
    assert scene.answer(call) == (False, 'the node was deactivated')
    for name in ('calibrate_neutral', 'clear_neutral', 'reset'):
        assert scene.answer(scene.ask(name)) == (False, 'the node is not active')


def test_other_services_are_heard_while_a_measurement_goes_on(patient):
    scene = patient
    scene.show(FACE, 30)
    call = scene.ask('calibrate_neutral')
    scene.world.run(0.1)
    assert scene.answer(scene.ask('reset'))[0]
    assert not call.done()
    scene.show(FACE, 60)
    assert scene.answer(call)[0]


def of_face(messages, number):
    return [message for message in messages if message.face_id == f'face_{number}']


def read_alone(rates, seed, slices):
    """Return the last estimate of a classifier that reads one face alone, from nothing."""
    classifier = ActionUnitClassifier.load()
    state, random = classifier.initial_state(), np.random.default_rng(seed)
    for end in range(1, slices + 1):
        counts = random.poisson(rates, (2, 128, 128)).astype(np.uint8)
        slice_ = Slice(end * STEP_NS, STEP_NS, REGION, counts, 0)
        estimate, state = classifier.step(slice_, state)
    return estimate


def test_two_faces_have_states_of_their_own(scene):
    scene.show_both((FACE, HEAD), 30)
    assert [m.face_id for m in scene.units] == ['face_0', 'face_1'] * 30
    first, second = of_face(scene.units, 0), of_face(scene.units, 1)
    assert [m.header.stamp for m in first] == [m.header.stamp for m in second]
    assert first[-1].state == Status.OK
    assert second[-1].state == Status.HEAD_MOVING
    # As the classifier reads each alone.
    for number, rates, messages in ((0, FACE, first), (1, HEAD, second)):
        estimate = read_alone(rates, seed=number, slices=30)
        np.testing.assert_array_equal(sides(messages[-1]), estimate.sides)
    values = scene.node.diagnose().values
    assert (values['faces'], values['missed_slices']) == (2, 0)
    # One of them goes; the other goes on.
    scene.show(FACE, 3)
    assert scene.node.diagnose().values['faces'] == 1
    assert scene.units[-1].state == Status.OK


def test_two_faces_that_were_swapped_begin_anew(patient):
    scene = patient
    scene.show_both((FACE, FACE), 20)
    call = scene.ask('calibrate_neutral')
    scene.world.run(0.3)
    scene.show_both((FACE, FACE), 60)
    assert scene.answer(call)[0]
    before = len(scene.raw)
    # Whoever finds faces gives those who crossed other numbers.
    scene.show_both((HEAD, FACE), 25, first=2)
    for number, rates in ((2, HEAD), (3, FACE)):
        raw, shown = (of_face(seen[before:], number) for seen in (scene.raw, scene.units))
        assert [message.state for message in raw[:19]] == [Status.WARMING_UP] * 19
        # As the classifier reads it alone, from nothing, and relative to no neutral face.
        estimate = read_alone(rates, seed=number - 2, slices=25)
        np.testing.assert_array_equal(sides(raw[-1]), estimate.sides)
        np.testing.assert_array_equal(sides(shown[-1]), estimate.sides)
    assert set(scene.node._faces) == {'face_2', 'face_3'}


def test_services_act_on_all_faces_in_view(patient):
    scene = patient
    scene.show_both((FACE, FACE), 20)
    call = scene.ask('calibrate_neutral')
    scene.world.run(0.3)
    scene.show_both((FACE, HEAD), 60)
    success, text = scene.answer(call)
    assert not success
    first, second = text.split('; face_1: ')
    assert first.startswith('face_0: neutral face from 50 slices: ')
    assert ' of 50 slices can be used: the head moved' in second
    scene.show_both((FACE, FACE), 60)
    call = scene.ask('calibrate_neutral')
    scene.world.run(0.3)
    scene.show_both((FACE, FACE), 60)
    assert scene.answer(call)[0]
    differs = [
        any((intensity(raw) != intensity(shown)).any() for raw, shown in pairs)
        for number in range(2)
        for pairs in [
            list(zip(of_face(scene.raw, number), of_face(scene.units, number), strict=True))[-5:]
        ]
    ]
    assert differs == [True, True]
    assert scene.answer(scene.ask('clear_neutral'))[0]
    scene.show_both((FACE, FACE), 2)
    for raw, shown in zip(scene.raw[-4:], scene.units[-4:], strict=True):
        np.testing.assert_array_equal(intensity(raw), intensity(shown))


def test_codes_are_in_the_published_order(scene):
    assert tuple(unit.code for unit in scene.show(FACE, 1).units) == CODES
    assert to_ns(scene.units[0].header.stamp) == STEP_NS


def test_what_is_held_back_is_published_when_the_face_is_lost(scene, world):
    found = world.collect(MicroExpression, 'micro_expressions', qos.RESULTS)
    scene.show(FACE, 30)
    world.until(lambda: scene.node._expressions.get_subscription_count() == 1)
    # The end of the last slice, on the clock that durations are measured by.
    end_ns = scene.node._input._counter.index * STEP_NS
    mouth = spotting.MicroExpression(
        (25,), end_ns - 20 * STEP_NS, end_ns - 10 * STEP_NS, end_ns, 0.5, 0.9
    )
    row = spotting._Row(syllables=1, end_ns=end_ns, held=(mouth,))
    reader = scene.node._faces['face_0'].reader
    reader._spotting = replace(reader._spotting, row=row)
    scene.show(STILL, 2, face=None)
    world.until(lambda: found)
    assert [(m.face_id, m.kind, list(m.codes)) for m in found] == [('face_0', 0, [25])]
    assert to_ns(found[0].offset) == 30 * STEP_NS
    assert scene.node.diagnose().values['micro_expressions'] == 1
