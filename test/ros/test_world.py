"""A test starts with nothing left of the tests before it."""

from microexpr_ros.msg import AlignedEvents
from ros_world import World

from microexpr_ros.ros import qos
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters


class Rest(MicroexprNode):
    name, Parameters = 'rest', NodeParameters


def test_a_closed_world_leaves_nothing_on_its_domain(domain):
    first = World(domain)
    # All references outlive the world, as those of a failed test do.
    _node = first.add(Rest)
    _publisher = first.tester.create_publisher(AlignedEvents, 'aligned_events', qos.SLICES)
    first.until(lambda: first.tester.count_publishers('/aligned_events') == 1)
    first.close()
    second = World(domain)
    second.plain('other')
    second.run(1.0)
    assert second.tester.count_publishers('/aligned_events') == 0
    assert sorted(second.tester.get_node_names()) == ['other', 'tester']
    second.close()
