import resource
import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from event_camera_msgs.msg import EventPacket as EventPacketMessage
from microexpr_ros.msg import ActionUnitArray
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import QosDurability, QosReliability
from sensor_msgs.msg import Image
from std_msgs.msg import String

from microexpr_ros import bags
from microexpr_ros.bags.folder import STORAGES
from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import qos
from microexpr_ros.ros.diagnostics import OK, WARN
from microexpr_ros.ros.nodes.recorder import RecorderNode
from microexpr_ros.ros.recorded_qos import adapt_offer, adapt_request, to_recorded

RELIABLE = QoSProfile(depth=10)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def record(world, tmp_path):
    def begin(**parameters):
        parameters.setdefault('output', str(tmp_path / 'bag'))
        node = world.add(RecorderNode, **parameters)
        node.start()
        return node

    return begin


def publisher(world, topic, profile=RELIABLE, kind=String, name=None):
    return world.plain(name or topic.strip('/')).create_publisher(kind, topic, profile)


def say(world, out, texts):
    world.until(lambda: out.get_subscription_count() > 0)
    for text in texts:
        out.publish(String(data=text))


def texts(path, topic):
    return [
        bags.typestore().deserialize_cdr(message.cdr, 'std_msgs/msg/String').data
        for message in bags.read_messages(path, [topic])
    ]


@pytest.mark.parametrize('storage', STORAGES)
def test_named_topics_are_recorded_and_no_others(world, record, storage):
    first, other = publisher(world, '/first'), publisher(world, '/other')
    node = record(topics=['/first', '/second'], storage=storage)
    say(world, first, 'abc')
    assert other.get_subscription_count() == 0
    # This one appears later, and is found all the same.
    say(world, publisher(world, '/second', BEST_EFFORT), 'xyz')
    world.until(lambda: node.recording.progress().messages == {'/first': 3, '/second': 3})
    before_ns = time.time_ns()
    node.trigger_deactivate()
    assert texts(node.recording.path, '/first') == list('abc')
    assert texts(node.recording.path, '/second') == list('xyz')
    found = bags.read_contents(node.recording.path)
    assert found.complete
    assert before_ns - 20 * 10**9 < found.start_ns <= found.end_ns <= before_ns
    (offer,) = found.topics[1].offered_qos
    assert offer.reliability is QosReliability.BEST_EFFORT


def test_all_topics_but_hidden_ones(world, record):
    node = record(all=True)
    say(world, publisher(world, '/seen'), ['seen'])
    publisher(world, '/_hidden', name='hidden').publish(String())
    world.until(lambda: '/seen' in node.recording.progress().messages)
    world.run(1.2)
    node.trigger_deactivate()
    names = {topic.name for topic in bags.read_contents(node.recording.path).topics}
    assert {'/seen', '/diagnostics'} <= names
    assert '/_hidden' not in names


def test_what_is_kept_for_latecomers_is_recorded(world, record):
    out = publisher(world, '/description', LATCHED)
    out.publish(String(data='a robot'))
    world.run(0.3)
    node = record(topics=['/description'])
    world.until(lambda: node.recording.progress().messages)
    node.trigger_deactivate()
    assert texts(node.recording.path, '/description') == ['a robot']
    (topic,) = bags.read_contents(node.recording.path).topics
    assert topic.offered_qos[0].durability is QosDurability.TRANSIENT_LOCAL


def test_a_publisher_that_offers_less_is_recorded_too(world, record):
    first = publisher(world, '/text', LATCHED, name='first')
    node = record(topics=['/text'])
    say(world, first, 'abc')
    world.until(lambda: node.recording.progress().messages == {'/text': 3})
    say(world, publisher(world, '/text', BEST_EFFORT, name='second'), 'd')
    say(world, first, 'e')
    world.until(lambda: node.recording.progress().messages['/text'] == 5)
    node.trigger_deactivate()
    assert texts(node.recording.path, '/text') == list('abcde')


def test_a_recording_in_which_nothing_arrives_is_a_warning(world, record):
    node = record(topics=['/text'])
    diagnosis = node.diagnose()
    text = 'nothing arrives on the topics to record: '
    assert (diagnosis.level, diagnosis.message) == (WARN, f'{text}there are none')
    out = publisher(world, '/text')
    say(world, out, 'abc')
    world.until(lambda: node.diagnose().level == OK)
    world.until(lambda: node.diagnose().level == WARN)
    diagnosis = node.diagnose()
    assert (diagnosis.level, diagnosis.message) == (WARN, f'{text}the publishers are silent')


def test_names_are_those_of_the_package_by_default(world, record):
    node = record()
    out = publisher(world, '/event_camera/events', qos.EVENTS, EventPacketMessage, 'camera')
    world.until(lambda: out.get_subscription_count() > 0)
    for seq in (0, 1, 5):
        out.publish(EventPacketMessage(seq=seq, encoding='evt3'))
    world.until(lambda: sum(node.recording.progress().messages.values()) == 3)
    diagnosis = node.diagnose()
    assert diagnosis.level == WARN
    assert diagnosis.values['lost_packets'] == 3
    node.trigger_deactivate()
    assert [packet.seq for _, packet in bags.read_packets(node.recording.path)] == [0, 1, 5]


def test_files_are_split_and_the_time_ends_it(world, record):
    out = publisher(world, '/text')
    node = record(topics=['/text'], duration_s=2.0, max_bag_duration_s=0.2)
    world.until(lambda: out.get_subscription_count() > 0)
    said = 0
    while out.get_subscription_count():
        out.publish(String(data=str(said)))
        said += 1
        world.run(0.02)
    found = bags.read_contents(node.recording.path)
    assert found.complete
    assert node.recording.progress().files >= 4
    assert texts(node.recording.path, '/text')[:20] == [str(number) for number in range(20)]


@pytest.fixture
def full_disk():
    """Let files grow to 300 kB and no further, as from now."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_the_recording_alone(world, record, full_disk):
    out = publisher(world, '/text')
    node = record(topics=['/text'], compression='none')
    world.until(lambda: out.get_subscription_count() > 0)
    full_disk()
    for number in range(5):
        out.publish(String(data=f'{number}' * 100_000))
        world.run(0.6)
    world.until(lambda: not out.get_subscription_count())
    assert f'cannot write {node.recording.path} (' in node.error
    assert node.failed
    assert node.context.ok()
    kept = texts(node.recording.path, '/text')
    assert [text[0] for text in kept] == [str(number) for number in range(len(kept))]
    assert len(kept) >= 2


def test_bursts_are_recorded_as_a_whole(world, record):
    kept = QoSProfile(depth=1500, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    early = publisher(world, '/early', kept)
    for number in range(1500):
        early.publish(String(data=str(number)))
    late = publisher(world, '/late', QoSProfile(depth=1000))
    node = record(topics=['/early', '/late'])
    world.until(lambda: late.get_subscription_count() > 0)
    with node.subscription_thread.lock:  # Nobody takes what comes meanwhile.
        for number in range(900):
            late.publish(String(data=str(number)))
    world.until(lambda: node.recording.progress().messages == {'/early': 1500, '/late': 900})


def test_lost_packets_of_several_publishers_are_not_counted(world, record):
    outs = [
        publisher(world, '/events', qos.EVENTS, EventPacketMessage, name)
        for name in ('left', 'right')
    ]
    node = record(topics=['/events'])
    world.until(lambda: all(out.get_subscription_count() for out in outs))
    world.until(lambda: node.recording.progress().uncountable == ['/events'])
    for seq in range(10):
        for number, out in enumerate(outs):
            out.publish(EventPacketMessage(seq=1000 * number + seq, encoding='evt3'))
    world.until(lambda: node.recording.progress().messages == {'/events': 20})
    assert node.diagnose().values['lost_packets'] == 0


@pytest.mark.parametrize('name', ['bad topic', '/9th', 'a//b', ''])
def test_a_name_that_is_none_is_refused(world, record, tmp_path, name):
    with pytest.raises(MicroexprError, match=f'{name!r} cannot be recorded'):
        record(topics=['/good', name])
    assert not (tmp_path / 'bag').exists()


def test_an_existing_bag_is_refused(world, record, tmp_path):
    (tmp_path / 'bag').mkdir()
    with pytest.raises(MicroexprError, match='already there'):
        record()


def test_each_activation_records_another_bag(world, record, tmp_path):
    out = publisher(world, '/text')
    node = record(topics=['/text'])
    (tmp_path / 'bag_1').mkdir()
    for text in 'abc':
        say(world, out, [text])
        world.until(lambda: node.recording.progress().messages == {'/text': 1})
        assert node.trigger_deactivate().name == 'SUCCESS'
        world.until(lambda: not out.get_subscription_count())
        assert node.trigger_activate().name == 'SUCCESS'
    recorded = [tmp_path / name for name in ('bag', 'bag_2', 'bag_3')]
    assert [texts(path, '/text') for path in recorded] == [['a'], ['b'], ['c']]
    assert node.recording.path == tmp_path / 'bag_4'


def test_the_default_name_is_that_of_ros2_bag(record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    node = record(output='')
    node.trigger_deactivate()
    assert node.recording.path.match('rosbag2_????_??_??-??_??_??')
    assert bags.read_contents(node.recording.path).topics == ()


def test_requests_match_all_offers():
    both = adapt_request([RELIABLE, BEST_EFFORT], 7)
    assert both.reliability == ReliabilityPolicy.BEST_EFFORT
    assert both.depth == 7
    assert adapt_request([RELIABLE, RELIABLE], 7).reliability == ReliabilityPolicy.RELIABLE
    kept = adapt_request([LATCHED], 7)
    assert kept.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert kept.history == HistoryPolicy.KEEP_ALL
    assert adapt_request([LATCHED, RELIABLE], 7).history == HistoryPolicy.KEEP_LAST
    assert adapt_request([LATCHED, RELIABLE], 7).durability == DurabilityPolicy.VOLATILE


def test_offers_match_all_requests():
    recorded = [to_recorded(profile) for profile in (LATCHED, BEST_EFFORT)]
    offer = adapt_offer(recorded, qos.EVENTS)
    assert offer.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert offer.reliability == ReliabilityPolicy.RELIABLE
    assert offer.depth == qos.EVENTS.depth
    assert adapt_offer(recorded[1:], qos.SLICES).reliability == ReliabilityPolicy.BEST_EFFORT
    assert adapt_offer([], qos.SLICES) is qos.SLICES


def test_a_redacted_recording_has_no_pictures_whatever_is_published(world, record, capfd):
    results = [
        publisher(world, topic, kind=kind, name=f'node_{number}')
        for number, (topic, kind) in enumerate(
            {'/au_predictions': ActionUnitArray, '/robot/diagnostics': DiagnosticArray}.items()
        )
    ]
    # An image under the name of a result, and one under its own.
    images = [
        publisher(world, topic, kind=Image, name=f'camera_{number}')
        for number, topic in enumerate(('/robot/au_predictions', '/event_camera/image_raw'))
    ]
    node = record(all=True, redact=True)
    world.until(lambda: all(out.get_subscription_count() for out in results))
    results[0].publish(ActionUnitArray())
    results[1].publish(DiagnosticArray())
    world.until(lambda: node.recording.progress().messages.get('/au_predictions'))
    world.until(lambda: node.recording.progress().messages.get('/robot/diagnostics'))
    assert not any(out.get_subscription_count() for out in images)
    node.trigger_deactivate()
    kept = {topic.name for topic in bags.read_contents(node.recording.path).topics}
    # The recorder's own diagnostics are there, too.
    assert kept - {'/diagnostics'} == {'/au_predictions', '/robot/diagnostics'}
    log = ''.join(capfd.readouterr())
    assert '/robot/au_predictions is not recorded: as sensor_msgs/msg/Image it may' in log


def test_without_names_a_redacted_recording_has_the_results(world, record):
    node = record(redact=True)
    assert node._topics == ['/au_predictions', '/micro_expressions', '/diagnostics']


def test_pictures_cannot_be_named_for_a_redacted_recording(record):
    with pytest.raises(MicroexprError, match='not /rgb_camera/image_raw: leave them out'):
        record(redact=True, topics=['/au_predictions', '/rgb_camera/image_raw'])


def test_every_topic_and_some_topics_are_not_asked_for_together(record):
    with pytest.raises(MicroexprError, match='topics names /one, /two: give one of them'):
        record(all=True, topics=['/one', '/two'])
