import pytest

from microexpr_ros.alignment.silence import GONE_NS, STALL_NS, Silence

MS = 1_000_000
LOCAL = 7_000_000 * MS


def hear(silence, count, period_ms=10, rate=1.0, late_ms=lambda index: 0):
    """Hear packets of 9 ms; return when the last one was received."""
    now_ns = 0
    for index in range(count):
        first_ns = index * period_ms * MS
        now_ns = LOCAL + round(first_ns * rate) + late_ms(index) * MS
        silence.hear(first_ns, first_ns + 9 * MS, now_ns)
    return now_ns


def test_nothing_is_known_before_the_first_packet():
    assert Silence(20 * MS).passed_ns(LOCAL) is None


def test_of_a_stream_that_has_just_begun_only_the_patience_is_left():
    silence = Silence(20 * MS)
    silence.hear(3 * MS, 3 * MS, LOCAL)
    assert silence.passed_ns(LOCAL + 26 * MS) == 9 * MS
    assert silence.passed_ns(LOCAL + 28 * MS) == 11 * MS


@pytest.mark.parametrize('rate', [0.5, 1.0, 2.0])
def test_a_steady_flow_is_waited_for(rate):
    silence = Silence(20 * MS)
    now_ns = hear(silence, 300, rate=rate)
    newest_ns = 2999 * MS
    assert silence.passed_ns(now_ns + 50 * MS) < newest_ns
    passed_ns = silence.passed_ns(now_ns + STALL_NS + 100 * MS)
    # Local time since the newest data, which came 9 ms of sensor time after the packet's first.
    assert passed_ns == pytest.approx(newest_ns + (100 - 9 * rate) / rate * MS, abs=10 * MS)


def test_a_stream_that_was_often_late_is_waited_for_longer():
    prompt, late = Silence(20 * MS), Silence(20 * MS)
    now_ns = hear(prompt, 300)
    hear(late, 300, late_ms=lambda index: 400 if 100 <= index < 110 else 0)
    soon_ns = now_ns + 20 * MS
    assert prompt.passed_ns(soon_ns) > late.passed_ns(soon_ns)


def test_after_a_while_the_stream_has_stopped():
    silence = Silence(20 * MS)
    now_ns = hear(silence, 100)
    last = silence.passed_ns(now_ns + 20 * MS), silence.passed_ns(now_ns + GONE_NS)
    assert last[0] < last[1]
    assert silence.passed_ns(now_ns + 3600_000 * MS) == last[1]


@pytest.mark.parametrize('away_ms', [-3000, 500, 3000, 3600_000])
def test_a_local_clock_that_was_set_makes_no_silence(away_ms):
    silence = Silence(20 * MS)
    now_ns = hear(silence, 100) + away_ms * MS
    assert silence.passed_ns(now_ns) < 999 * MS
    assert silence.passed_ns(now_ns + STALL_NS + 50 * MS) >= 999 * MS


def test_packets_without_data_keep_a_stream_alive():
    silence = Silence(20 * MS)
    now_ns = hear(silence, 100)
    for _ in range(500):
        now_ns += 10 * MS
        silence.hear_nothing(now_ns)
    assert silence.passed_ns(now_ns) == pytest.approx(5990 * MS - STALL_NS, abs=20 * MS)
