"""Parameters `qos_overrides...` of our nodes."""

import pytest
from microexpr_ros.msg import AlignedEvents
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import qos
from microexpr_ros.ros.nodes.recorder import RecorderNode
from microexpr_ros.ros.nodes.synchronizer import SynchronizerNode
from microexpr_ros.ros.qos_overrides import QosOverrides

EVENTS = 'qos_overrides./event_camera/events.subscription'
SLICES = 'qos_overrides./aligned_events.publisher'


def offers(world, topic):
    world.until(lambda: world.tester.get_publishers_info_by_topic(topic))
    return world.tester.get_publishers_info_by_topic(topic)[0].qos_profile


def requests(world, topic):
    world.until(lambda: world.tester.get_subscriptions_info_by_topic(topic))
    return world.tester.get_subscriptions_info_by_topic(topic)[0].qos_profile


@pytest.mark.parametrize(
    ('policy', 'value', 'expected'),
    [
        ('reliability', 'reliable', ReliabilityPolicy.RELIABLE),
        ('reliability', 'best_effort', ReliabilityPolicy.BEST_EFFORT),
        ('durability', 'volatile', DurabilityPolicy.VOLATILE),
        ('durability', 'transient_local', DurabilityPolicy.TRANSIENT_LOCAL),
        ('history', 'keep_last', HistoryPolicy.KEEP_LAST),
        ('history', 'keep_all', HistoryPolicy.KEEP_ALL),
        ('depth', 7, 7),
    ],
)
@pytest.mark.parametrize('side', ['publisher', 'subscription'])
def test_each_policy_is_overridden_alone(side, policy, value, expected):
    overrides = QosOverrides({f'qos_overrides./a/b.{side}.{policy}': value, 'frame_id': 'eye'})
    other = 'subscription' if side == 'publisher' else 'publisher'
    before = repr(qos.EVENTS)
    changed = overrides.apply('/a/b', side, qos.EVENTS)
    assert getattr(changed, policy) == expected
    setattr(changed, policy, getattr(qos.EVENTS, policy))
    assert changed == qos.EVENTS
    assert overrides.apply('/a/b', other, qos.EVENTS) == qos.EVENTS
    assert overrides.apply('/a', side, qos.EVENTS) == qos.EVENTS
    assert repr(qos.EVENTS) == before


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('/a.publisher.deadline', 1, r'POLICY is one of reliability, durability, history, depth'),
        ('/a.subscriber.depth', 1, r'give qos_overrides\./TOPIC\.publisher'),
        ('/a.depth', 1, r'unknown parameter qos_overrides\./a\.depth'),
        ('a.publisher.depth', 1, "'a' is not a full name"),
        ('/a.publisher.depth', 0, 'depth = 0: give 1 to'),
        ('/a.publisher.depth', True, 'depth = True: give 1 to'),
        ('/a.publisher.depth', 'deep', "depth = 'deep': give 1 to"),
        ('/a.publisher.history', 'all', "history = 'all': choose one of keep_last, keep_all"),
        ('/a.publisher.reliability', 1, 'choose one of reliable, best_effort'),
        ('/a.publisher.durability', 'Volatile', 'choose one of volatile, transient_local'),
    ],
)
def test_names_and_values_without_meaning_are_refused(name, value, message):
    with pytest.raises(MicroexprError, match=message):
        QosOverrides({f'qos_overrides.{name}': value})


def test_a_node_offers_and_requests_what_is_set(world):
    parameters = {
        f'{EVENTS}.reliability': 'reliable',
        f'{EVENTS}.depth': 33,
        f'{SLICES}.reliability': 'best_effort',
        f'{SLICES}.durability': 'transient_local',
        'qos_overrides./diagnostics.publisher.durability': 'transient_local',
    }
    node = world.add(SynchronizerNode, **parameters)
    node.start()
    assert requests(world, '/event_camera/events').reliability == ReliabilityPolicy.RELIABLE
    assert requests(world, '/rgb_camera/image_raw').reliability == ReliabilityPolicy.BEST_EFFORT
    assert offers(world, '/aligned_events').reliability == ReliabilityPolicy.BEST_EFFORT
    assert offers(world, '/aligned_events').durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert offers(world, '/diagnostics').durability == DurabilityPolicy.TRANSIENT_LOCAL


def test_the_name_is_that_after_remapping(world):
    renamed = 'qos_overrides./face/slices.publisher.reliability'
    node = world.add(SynchronizerNode, 'aligned_events:=/face/slices', **{renamed: 'best_effort'})
    node.start()
    assert offers(world, '/face/slices').reliability == ReliabilityPolicy.BEST_EFFORT


def test_a_topic_that_the_node_does_not_have_is_refused(world):
    node = world.add(SynchronizerNode, **{'qos_overrides./aligned_event.publisher.depth': 5})
    expected = r'/aligned_event\.publisher: the node has /aligned_events\.publisher, /diagnostics'
    with pytest.raises(MicroexprError, match=expected):
        node.start()
    world.until(lambda: node.count_subscribers('/event_camera/events') == 0)


def test_a_wrong_value_is_refused_at_the_start(world):
    node = world.add(SynchronizerNode, **{f'{SLICES}.depth': 0})
    with pytest.raises(MicroexprError, match='depth = 0'):
        node.start()


def test_overrides_can_change_between_configurations_only(world):
    node = world.add(SynchronizerNode, **{f'{SLICES}.reliability': 'best_effort'})
    node.start()
    change = Parameter(f'{SLICES}.reliability', value='reliable')
    (result,) = node.set_parameters([change])
    assert not result.successful
    assert 'clean up the node first' in result.reason
    for transition in (node.trigger_deactivate, node.trigger_cleanup):
        assert transition().name == 'SUCCESS'
    (result,) = node.set_parameters([change])
    assert result.successful
    for transition in (node.trigger_configure, node.trigger_activate):
        assert transition().name == 'SUCCESS'
    slices = world.collect(AlignedEvents, 'aligned_events', qos.SLICES)
    world.until(lambda: node.count_subscribers('/aligned_events') == 1)
    assert offers(world, '/aligned_events').reliability == ReliabilityPolicy.RELIABLE
    assert not slices


def test_the_recorder_requests_what_is_set_once_a_topic_appears(world, tmp_path):
    override = {'qos_overrides./text.subscription.reliability': 'best_effort'}
    node = world.add(RecorderNode, output=str(tmp_path / 'bag'), topics=['/text'], **override)
    node.start()
    world.tester.create_publisher(String, '/text', QoSProfile(depth=5))
    assert requests(world, '/text').reliability == ReliabilityPolicy.BEST_EFFORT
