"""What `analyze` finds in a recording is what the nodes publish of it."""

import counting_network
import numpy as np
import pytest
from face_bags import write_face_bag
from microexpr_ros.msg import ActionUnitArray, MicroExpression

from microexpr_ros import bags
from microexpr_ros.analysis import analyze
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import packet_to_message, to_ns
from microexpr_ros.ros.estimates import message_to_estimate, message_to_expression
from microexpr_ros.ros.nodes.au_classifier import ActionUnitClassifierNode
from microexpr_ros.ros.nodes.synchronizer import SynchronizerNode
from microexpr_ros.ros.subscriptions import SubscriptionThread

AT_ONCE = 10
"""Packets that are sent before the nodes have to answer."""


@pytest.fixture(params=['shipped', 'counting'])
def seconds(request, monkeypatch):
    """Choose the network for nodes and analysis; return how long the recording must be."""
    if request.param == 'shipped':
        return 1.0
    classifier = counting_network.counting_classifier()
    monkeypatch.setattr(ActionUnitClassifier, 'load', lambda path=None: classifier)
    return 3.0


def fresh(messages):
    """Return the estimates without those that are repeated while this test pauses."""
    return [message for message in messages if message.state != ActionUnitArray.STALE]


def test_the_nodes_publish_what_analyze_returns(world, tmp_path, seconds):
    write_face_bag(tmp_path / 'bag', seconds)
    found = analyze(tmp_path / 'bag')
    thread = SubscriptionThread()
    # The clock of ROS stands still, so that no slice is ended by a pause of this test.
    world.add(
        ActionUnitClassifierNode, thread=thread, use_sim_time=True, stale_after_s=60.0
    ).start()
    world.add(SynchronizerNode, thread=thread, use_sim_time=True, face_source='events').start()
    messages = world.collect(ActionUnitArray, 'au_predictions', qos.RESULTS)
    expressions = world.collect(MicroExpression, 'micro_expressions', qos.RESULTS)
    feed = world.feed_packets()
    packets = [packet for _, packet in bags.read_packets(tmp_path / 'bag')]
    world.run(0.3)
    for start in range(0, len(packets), AT_ONCE):
        sent = packets[start : start + AT_ONCE]
        feed(map(packet_to_message, sent))
        ended = (sent[-1].stamp_ns - packets[0].stamp_ns) // 10_000_000
        world.until(lambda ended=ended: len(fresh(messages)) >= ended, 120)
    estimates = fresh(messages)
    # The last slice ends with the recording, of which the nodes hear nothing.
    assert len(found) - 1 <= len(estimates) <= len(found)
    for row, message in enumerate(estimates):
        estimate = message_to_estimate(message)
        assert estimate.end_ns == found.stamp_ns[row]
        assert estimate.status == found.status[row]
        np.testing.assert_array_equal(estimate.sides, found.sides[row])
        np.testing.assert_array_equal(estimate.confidence, found.confidence[row])
        np.testing.assert_array_equal(estimate.active, found.active[row])
        assert message.face_id == ('' if found.face[row] < 0 else f'face_{found.face[row]}')
    published = [message_to_expression(message) for message in expressions]
    # The network that moves on purpose shows movements; the shipped one may.
    assert published or seconds != 3.0
    kinds = [movement.expression.kind for movement in found.movements]
    assert [expression.kind for expression in published] == kinds
    for message, movement in zip(expressions, found.movements, strict=True):
        stamps = [to_ns(time) for time in (message.onset, message.apex, message.offset)]
        assert stamps == [
            movement.onset_stamp_ns,
            movement.apex_stamp_ns,
            movement.offset_stamp_ns,
        ]
        assert tuple(message.codes) == movement.expression.codes
        assert message.peak == pytest.approx(movement.expression.peak, abs=1e-7)
        assert message.confidence == pytest.approx(movement.expression.confidence, abs=1e-7)
