from __future__ import annotations

import tracemalloc

from packet_bags import EPOCH

from microexpr_ros.bags.byte_queue import ByteQueue
from microexpr_ros.bags.recorder import Arrival


def test_a_queue_is_bounded_by_bytes():
    queue = ByteQueue(1000)
    assert queue.put('larger than the queue', 5000)
    assert not queue.put('no room', 1)
    assert queue.get() == 'larger than the queue'
    assert queue.get(timeout_s=0) is None
    assert queue.put('a', 200)
    assert queue.put('b', 200)
    assert not queue.put('c', 1)
    queue.close()
    assert not queue.finished
    assert not queue.put('d', 0)
    assert [queue.get(), queue.get(), queue.get()] == ['a', 'b', None]
    assert queue.finished
    assert queue.bytes == 0


def test_small_messages_do_not_fill_the_memory():
    limit = 1_000_000
    queue = ByteQueue(limit)
    tracemalloc.start()
    try:
        seq = 0
        while queue.put(
            Arrival('/t', 't', seq.to_bytes(8, 'little'), EPOCH + seq, EPOCH + seq), 8
        ):
            seq += 1
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seq > 1000
    assert taken < 1.2 * limit
