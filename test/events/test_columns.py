from __future__ import annotations

import event_streams as streams
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.events import codecs
from microexpr_ros.events.files.columns import interleave
from microexpr_ros.events.packets import packetize


def pieces(draw, stream, make):
    """Cut a stream anywhere, so that some pieces are empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        yield make(start, end)


@given(data=st.data(), events=streams.events(), triggers=streams.triggers())
def test_interleaving_keeps_everything_in_order(data, events, triggers):
    chunks = list(
        interleave(
            pieces(data.draw, events, lambda i, j: events[i:j]),
            pieces(
                data.draw,
                triggers,
                lambda i, j: streams.make_triggers(
                    triggers.t[i:j], triggers.id[i:j], triggers.edge[i:j]
                ),
            ),
        )
    )
    streams.assert_same(streams.concatenate(chunk[0] for chunk in chunks), events)
    streams.assert_same(streams.concatenate_triggers(chunk[1] for chunk in chunks), triggers)
    # Only a stream in order can be cut into packets.
    decoder = codecs.decoder('evt3', streams.HEIGHT, streams.WIDTH)
    packets = packetize(chunks, streams.HEIGHT, streams.WIDTH)
    decoded = [decoder.decode(packet.events) for packet in packets]
    times = streams.concatenate(part for part, _ in decoded).t
    np.testing.assert_array_equal(np.diff(times), np.diff(events.t))


def test_triggers_at_the_end_of_a_piece_belong_to_it():
    events = streams.make_events([1, 5, 9], [0] * 3, [0] * 3, [0] * 3)
    triggers = streams.make_triggers([0, 5, 6, 9, 10], [0] * 5, [1] * 5)
    chunks = list(interleave(iter([events[:2], events[2:]]), iter([triggers])))
    assert [chunk[1].t.tolist() for chunk in chunks] == [[0, 5], [6, 9], [10]]
