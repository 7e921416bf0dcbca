"""A model of an event camera's pixels, of the family of ESIM and v2e.

Each pixel takes the logarithm of its radiance (linear below a knee), passes it through a
first-order low-pass whose corner falls with the light, and sends an event whenever the result
has left the level of the last event by its own threshold. Leak, shot noise, hot pixels and a
refractory period are modelled, and that the read-out stamps events a little late, each by
another time. Noise that has crossed a threshold comes back, so its events come in pairs. The
read-out takes so many events of a row in a time and loses the others.

Between two samples of the scene the logarithm runs in a straight line, and the low-pass has a
closed form there, so the time of an event is found inside the interval, not at its ends.

Sources: Rebecq et al., ESIM: an Open Event Camera Simulator, CoRL 2018; Hu et al., v2e: From
Video Frames to Realistic DVS Events, CVPRW 2021; Lichtsteiner et al., A 128x128 120 dB 15 us
Latency Asynchronous Temporal Contrast Vision Sensor, JSSC 2008. Limits of read-outs: Gallego et
al., Event-based Vision: A Survey, TPAMI 2022, table 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.events import Events
from microexpr_ros.events.kernel import kernel

RETURN_AGAIN: Final = 0.5
"""How often a return has a return, against other noise events."""

_BACKLOG_NS: Final = 1_000_000.0
"""A read-out that is behind by more than this loses events."""


@dataclass(frozen=True, slots=True)
class SensorParameters:
    """An event camera.

    Attributes:
        width: columns, px.
        height: rows, px.
        threshold_on: rise of the logarithm that makes an ON event.
        threshold_off: fall of the logarithm that makes an OFF event.
        threshold_sigma: standard deviation of the thresholds over the pixels.
        corner_hz: corner of the low-pass at `corner_lux` and above; 0 turns it off.
        corner_lux: radiance below which the corner falls in proportion.
        corner_floor_hz: the corner's value in the dark.
        refractory_ns: time for which a pixel is held after an event.
        leak_hz: rate of ON events of a pixel that sees no change.
        shot_hz: rate of noise events of a pixel at `corner_lux`; grows with the inverse root
            of the radiance.
        rate_spread: spread of leak and shot rates over the pixels, decades.
        return_share: share of the noise events that are followed by a return: one of the other
            polarity, which counts as noise too. Returns are followed by others half as often.
        return_ns: median time until the return.
        return_spread: spread of that time, decades.
        hot_share: share of pixels that fire all the time.
        hot_hz: mean rate of those.
        knee_lux: radiance below which the response is linear.
        tick_ns: resolution of the sensor's clock.
        jitter_ns: mean time by which the read-out stamps an event late; exponentially spread, so
            that two events may be stamped in the wrong order.
        row_hz: most events per second that the read-out takes of a row; 0 for no limit.
    """

    width: int = 346
    height: int = 260
    threshold_on: float = 0.2
    threshold_off: float = 0.2
    threshold_sigma: float = 0.03
    corner_hz: float = 300.0
    corner_lux: float = 30.0
    corner_floor_hz: float = 8.0
    refractory_ns: int = 500_000
    leak_hz: float = 0.01
    shot_hz: float = 0.02
    rate_spread: float = 0.1
    return_share: float = 0.0
    return_ns: int = 5_000_000
    return_spread: float = 0.5
    hot_share: float = 0.0002
    hot_hz: float = 20.0
    knee_lux: float = 0.5
    tick_ns: int = 1000
    jitter_ns: int = 0
    row_hz: float = 0.0

    @property
    def returns(self) -> float:
        """Share of the noise events that are returns."""
        return self.return_share / (1 + RETURN_AGAIN * self.return_share)

    @property
    def mean_return_s(self) -> float:
        """Mean time until a return, s."""
        return self.return_ns * 1e-9 * float(np.exp((self.return_spread * np.log(10)) ** 2 / 2))


SENSORS: Final[dict[str, SensorParameters]] = {
    'davis346': SensorParameters(
        leak_hz=0.005,
        shot_hz=0.01,
        rate_spread=0.5,
        return_share=0.45,
        jitter_ns=15_000,
        row_hz=46_000.0,
    ),
    'vga': SensorParameters(
        width=640,
        height=480,
        threshold_on=0.22,
        threshold_off=0.24,
        threshold_sigma=0.04,
        corner_hz=400.0,
        refractory_ns=240_000,
        leak_hz=0.0,
        shot_hz=0.12,
        rate_spread=0.3,
        return_share=0.4,
        return_ns=4_000_000,
        return_spread=0.36,
        hot_share=0.004,
        hot_hz=6.0,
        jitter_ns=10_000,
        row_hz=137_000.0,
    ),
    'hd': SensorParameters(
        width=1280,
        height=720,
        threshold_on=0.22,
        threshold_off=0.22,
        threshold_sigma=0.035,
        corner_hz=250.0,
        refractory_ns=125_000,
        leak_hz=0.0,
        shot_hz=0.023,
        rate_spread=0.6,
        return_share=0.52,
        return_ns=6_000_000,
        return_spread=0.7,
        hot_share=0.000025,
        hot_hz=19.0,
        jitter_ns=5_000,
        row_hz=1_480_000.0,
    ),
}
"""Typical bias settings of a DAVIS346, a DVXplorer or Gen3.1, and an IMX636 (nominal contrast
threshold 25 %, that is 0.22 in natural logarithms). Thresholds and corners are not calibrated
against a unit.

Noise, refractory period, returns and hot pixels are fitted, so that `microexpr measure sensor`
finds in simulated noise what it finds in the still parts of recordings: those of vga in
test_events_1 of event_camera_py, a Gen3.1 (its ON events, as many still tiles slowly darken),
those of hd in test_data_evt3_trigger_0 of event_camera_codecs. Their light is unknown; it is
taken for `corner_lux`. Stamps jitter by less than the sharp beginning of the intervals. No
recording of a DAVIS346 is at hand: its rates keep their means of before, spread and returns lie
between those of the two others. `row_hz` is the bandwidth that its makers give, 12, 66 and 1066
million events per second, over the rows."""


@dataclass(frozen=True, slots=True)
class SensorState:
    """What the pixels remember. Arrays are [height, width], if nothing else is said.

    Attributes:
        filtered: float64, output of the low-pass, logarithm of lux.
        reference: float64, level of the last event.
        held_until_ns: float64, end of the refractory period, ns.
        next_noise_ns: float64, when the next noise event falls due, ns.
        on: float32, ON threshold.
        off: float32, OFF threshold.
        leak: float32, drift towards ON, 1 / s.
        noise_hz: float32, noise events at `corner_lux`.
        next_sign: int8, polarity of that event; -1 for either.
        random: uint64, state of the pixel's own random numbers.
        last: float64, logarithm of the last sample.
        late: events that the read-out stamps at or after `t_ns`.
        row_free_ns: float64 [height], when the read-out has taken all events of a row.
        t_ns: time of the last sample.
    """

    filtered: NDArray[np.float64]
    reference: NDArray[np.float64]
    held_until_ns: NDArray[np.float64]
    next_noise_ns: NDArray[np.float64]
    on: NDArray[np.float32]
    off: NDArray[np.float32]
    leak: NDArray[np.float32]
    noise_hz: NDArray[np.float32]
    next_sign: NDArray[np.int8]
    random: NDArray[np.uint64]
    last: NDArray[np.float64]
    late: Events
    row_free_ns: NDArray[np.float64]
    t_ns: int


def start(
    parameters: SensorParameters,
    radiance: NDArray[np.float32],
    t_ns: int,
    rng: np.random.Generator,
) -> SensorState:
    """Return the state of pixels that have long looked at a still scene.

    Args:
        parameters: The sensor.
        radiance: float32 [height, width], lux; the size decides how many pixels there are.
        t_ns: Time of the scene.
        rng: Draws the mismatch between the pixels.
    """
    shape = radiance.shape
    sigma = parameters.threshold_sigma
    spread = np.exp(rng.normal(0, parameters.rate_spread * np.log(10), shape))
    on = np.clip(rng.normal(parameters.threshold_on, sigma, shape), 0.05, None)
    off = np.clip(rng.normal(parameters.threshold_off, sigma, shape), 0.05, None)
    noise = parameters.shot_hz * spread
    hot = rng.random(shape) < parameters.hot_share
    noise = np.where(hot, parameters.hot_hz * np.exp(rng.normal(0, 0.7, shape)), noise)
    logarithm = respond(radiance, parameters.knee_lux)
    # Pixels stand anywhere between their thresholds: the scene did not start with them.
    reference = logarithm - rng.uniform(-off, on)
    random = rng.integers(1, 2**63, shape, dtype=np.uint64)
    state = SensorState(
        logarithm.copy(),
        reference,
        np.zeros(shape),
        np.empty(shape),
        on.astype(np.float32),
        off.astype(np.float32),
        (parameters.leak_hz * spread * on).astype(np.float32),
        noise.astype(np.float32),
        np.full(shape, -1, np.int8),
        random,
        logarithm,
        Events.empty(),
        np.full(shape[0], -np.inf),
        t_ns,
    )
    _schedule(
        state.next_noise_ns,
        state.noise_hz,
        logarithm,
        random,
        t_ns,
        parameters.corner_lux,
        parameters.returns,
        parameters.mean_return_s,
    )
    return state


def respond(radiance: NDArray[np.float32], knee_lux: float) -> NDArray[np.float64]:
    """Return the photoreceptor's response: logarithm above the knee, its tangent below."""
    return np.asarray(_respond(np.ascontiguousarray(radiance, np.float32), knee_lux), np.float64)


def step(
    parameters: SensorParameters,
    state: SensorState,
    radiance: NDArray[np.float32],
    t_ns: int,
) -> tuple[Events, SensorState]:
    """Let the scene run in a straight line (of logarithms) to a new sample.

    Args:
        parameters: The sensor.
        state: The pixels; their arrays are used up: go on with the returned state only.
        radiance: float32 [height, width], lux, at `t_ns`.
        t_ns: Time of the sample, after the state's.

    Returns:
        The events with stamps in the interval, in order of time (equal times in order of row
        and column), and the new state.
    """
    return step_response(parameters, state, respond(radiance, parameters.knee_lux), t_ns)


def step_response(
    parameters: SensorParameters,
    state: SensorState,
    logarithm: NDArray[np.float64],
    t_ns: int,
) -> tuple[Events, SensorState]:
    """Do the same as `step`, with what `respond` returns for the new sample."""
    times, index, polarity = _step(
        state.filtered.reshape(-1),
        state.reference.reshape(-1),
        state.held_until_ns.reshape(-1),
        state.next_noise_ns.reshape(-1),
        state.on.reshape(-1),
        state.off.reshape(-1),
        state.leak.reshape(-1),
        state.noise_hz.reshape(-1),
        state.next_sign.reshape(-1),
        state.random.reshape(-1),
        state.last.reshape(-1),
        logarithm.reshape(-1),
        state.t_ns,
        t_ns,
        parameters.corner_hz,
        parameters.corner_lux,
        parameters.corner_floor_hz,
        parameters.refractory_ns,
        parameters.tick_ns,
        parameters.jitter_ns,
        parameters.return_share,
        parameters.return_ns * 1e-9,
        parameters.return_spread * np.log(10),
        parameters.returns,
        parameters.mean_return_s,
    )
    width = logarithm.shape[1]
    if len(state.late):
        times = np.concatenate([state.late.t, times])
        before = state.late.y.astype(np.int32) * width + state.late.x
        index = np.concatenate([before, index])
        polarity = np.concatenate([state.late.p, polarity])
    # The step's own events come pixel by pixel, so that a stable sort keeps those in order.
    order = np.lexsort((index, times)) if len(state.late) else np.argsort(times, kind='stable')
    index = index[order]
    events = Events(
        times[order],
        (index % width).astype(np.uint16),
        (index // width).astype(np.uint16),
        polarity[order],
    )
    ready = int(np.searchsorted(events.t, t_ns))
    after = SensorState(
        state.filtered,
        state.reference,
        state.held_until_ns,
        state.next_noise_ns,
        state.on,
        state.off,
        state.leak,
        state.noise_hz,
        state.next_sign,
        state.random,
        logarithm,
        events[ready:],
        state.row_free_ns,
        t_ns,
    )
    sent = events[:ready]
    if parameters.row_hz > 0:
        taken = _read_out(sent.t, sent.y, state.row_free_ns, 1e9 / parameters.row_hz, _BACKLOG_NS)
        sent = Events(sent.t[taken], sent.x[taken], sent.y[taken], sent.p[taken])
    return sent, after


@kernel
def _read_out(
    t: NDArray[np.int64],
    y: NDArray[np.uint16],
    free: NDArray[np.float64],
    takes: float,
    backlog: float,
) -> NDArray[np.bool_]:
    """Return which events the read-out takes, of a row one after the other."""
    taken = np.empty(len(t), np.bool_)
    for i in range(len(t)):
        begin = max(free[y[i]], float(t[i]))
        taken[i] = begin - t[i] <= backlog
        if taken[i]:
            free[y[i]] = begin + takes
    return taken


@kernel
def _respond(radiance: NDArray[np.float32], knee: float) -> NDArray[np.float64]:
    out = np.empty(radiance.shape, np.float64)
    flat, source = out.reshape(-1), radiance.reshape(-1)
    bottom = np.log(knee) - 1
    for i in range(len(flat)):
        value = source[i]
        flat[i] = np.log(value) if value > knee else bottom + max(value, 0.0) / knee
    return out


def noise_hz(parameters: SensorParameters, lux: float) -> float:
    """Return the rate of noise events of a median pixel at a radiance, Hz.

    Example:
        >>> noise_hz(SensorParameters(shot_hz=0.1), 7.5)
        0.2
    """
    return float(_noise_rate(parameters.shot_hz, float(np.log(lux)), parameters.corner_lux))


@kernel
def _uniform(random: NDArray[np.uint64], i: int) -> float:
    """Return a number in (0, 1) of pixel i's own xorshift generator."""
    x = random[i]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    random[i] = x
    return (np.float64(x >> np.uint64(11)) + 0.5) / 9007199254740992.0


@kernel
def _noise_rate(rate: float, logarithm: float, corner_lux: float) -> float:
    # Shot noise of the photocurrent against the signal: the inverse root of the light.
    noisier: float = np.sqrt(corner_lux / np.exp(logarithm))
    return rate * min(max(noisier, 0.5), 20.0)


@kernel
def _wait(rate: float, random: NDArray[np.uint64], i: int, returns: float, mean: float) -> float:
    """Return the time to the next noise event that is no return, s.

    Together with returns, which come sooner, events have the rate.
    """
    left = max(1 / rate - returns * mean, 0.1 / rate)
    waited: float = -np.log(_uniform(random, i)) * left / (1 - returns)
    return waited


@kernel
def _schedule(
    due: NDArray[np.float64],
    rate: NDArray[np.float32],
    logarithm: NDArray[np.float64],
    random: NDArray[np.uint64],
    t_ns: int,
    corner_lux: float,
    returns: float,
    mean_return: float,
) -> None:
    due, rate, random = due.reshape(-1), rate.reshape(-1), random.reshape(-1)
    logarithm = logarithm.reshape(-1)
    for i in range(len(due)):
        hz = _noise_rate(rate[i], logarithm[i], corner_lux)
        wait = _wait(hz, random, i, returns, mean_return) if hz > 0 else np.inf
        due[i] = t_ns + wait * 1e9


@kernel
def _step(
    filtered: NDArray[np.float64],
    reference: NDArray[np.float64],
    held: NDArray[np.float64],
    due: NDArray[np.float64],
    on: NDArray[np.float32],
    off: NDArray[np.float32],
    leak: NDArray[np.float32],
    rate: NDArray[np.float32],
    next_sign: NDArray[np.int8],
    random: NDArray[np.uint64],
    last: NDArray[np.float64],
    logarithm: NDArray[np.float64],
    t0: int,
    t1: int,
    corner_hz: float,
    corner_lux: float,
    corner_floor: float,
    refractory: int,
    tick: int,
    jitter: int,
    return_share: float,
    return_s: float,
    return_sigma: float,
    returns: float,
    mean_return: float,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8]]:
    capacity = 1024
    times = np.empty(capacity, np.int64)
    index = np.empty(capacity, np.int32)
    polarity = np.empty(capacity, np.uint8)
    count = 0
    span = (t1 - t0) * 1e-9
    log_corner = np.log(corner_lux)
    for i in range(len(filtered)):
        x0, x1 = last[i], logarithm[i]
        y0 = filtered[i]
        quiet = abs(x1 - x0) < 1e-7 and abs(x0 - y0) < 1e-6
        # Nothing moves and nothing falls due: the drift alone decides.
        if quiet and due[i] > t1:
            reference[i] -= leak[i] * span
            if y0 - reference[i] < on[i]:
                continue
            reference[i] += leak[i] * span
        # Without a low-pass, the interval is one straight line, and its ends decide.
        if corner_hz == 0 and held[i] <= t0 and due[i] >= t1:
            begin = x0 - reference[i]
            end = x1 - reference[i] + leak[i] * span
            if -off[i] < begin < on[i] and -off[i] < end < on[i]:
                reference[i] -= leak[i] * span
                filtered[i] = x1
                continue
        tau = 0.0
        if corner_hz > 0:
            level = 0.5 * (x0 + x1) - log_corner
            corner = corner_hz if level >= 0 else max(corner_hz * np.exp(level), corner_floor)
            tau = 1 / (2 * np.pi * corner)
        slope = (x1 - x0) / span
        # The low-pass bends within a few tau: cut the interval where it does.
        parts = 1
        # A low-pass that already trails the ramp by its lag goes on straight.
        if tau > 0 and abs(y0 - (x0 - slope * tau)) > 0.01:
            parts = min(max(int(np.ceil(2 * span / tau)), 1), max(int(np.ceil(span * 2000)), 1))
        length = span / parts
        decay = np.exp(-length / tau) if tau > 0 else 0.0
        y = y0
        for part in range(parts):
            begin = part * length
            if tau > 0:
                lagging = x0 + slope * (begin - tau)
                target = lagging + slope * length + (y - lagging) * decay
            else:
                target = x0 + slope * (begin + length)
                y = x0 + slope * begin
            speed = (target - y) / length
            drift = leak[i]
            now = t0 + begin * 1e9
            end = t0 + (begin + length) * 1e9
            here = y
            while True:
                if held[i] > now:
                    # Held pixels follow the light: what happens now is lost.
                    if held[i] >= end:
                        reference[i] = target
                        break
                    here += speed * (held[i] - now) * 1e-9
                    now = held[i]
                    reference[i] = here
                # The reference falls by the leak, so the difference grows at speed + drift.
                difference = here - reference[i]
                rise = speed + drift
                wait = np.inf
                sign = 0
                if difference >= on[i]:
                    wait, sign = 0.0, 1
                elif difference <= -off[i]:
                    wait, sign = 0.0, 0
                elif rise > 0:
                    wait, sign = (on[i] - difference) / rise, 1
                elif rise < 0:
                    wait, sign = (-off[i] - difference) / rise, 0
                left = (end - now) * 1e-9
                noisy = False
                if due[i] < end and (due[i] - now) * 1e-9 < wait:
                    wait = max((due[i] - now) * 1e-9, 0.0)
                    noisy = True
                    share = return_share
                    if next_sign[i] >= 0:
                        sign = 1 if next_sign[i] == 1 else 0
                        share *= RETURN_AGAIN
                    else:
                        sign = 1 if _uniform(random, i) < 0.5 else 0
                    if share > 0 and _uniform(random, i) < share:
                        next_sign[i] = 1 - sign
                        # Box and Muller: the time is logarithmically normal.
                        radius = np.sqrt(-2 * np.log(_uniform(random, i)))
                        normal = radius * np.cos(2 * np.pi * _uniform(random, i))
                        due[i] += return_s * np.exp(return_sigma * normal) * 1e9
                    else:
                        next_sign[i] = -1
                        hz = _noise_rate(rate[i], 0.5 * (x0 + x1), corner_lux)
                        wait_s = _wait(hz, random, i, returns, mean_return)
                        due[i] += wait_s * 1e9
                if not wait < left:
                    reference[i] -= drift * left
                    break
                here += speed * wait
                now += wait * 1e9
                # An event of the scene takes exactly one threshold from the difference; an
                # event of noise resets the pixel to where it is.
                if noisy:
                    reference[i] = here
                elif sign == 1:
                    reference[i] += on[i] - drift * wait
                else:
                    reference[i] -= off[i] + drift * wait
                held[i] = now + refractory
                if count == capacity:
                    capacity *= 2
                    grown_t = np.empty(capacity, np.int64)
                    grown_i = np.empty(capacity, np.int32)
                    grown_p = np.empty(capacity, np.uint8)
                    grown_t[:count] = times
                    grown_i[:count] = index
                    grown_p[:count] = polarity
                    times, index, polarity = grown_t, grown_i, grown_p
                stamp = now
                if jitter > 0:
                    stamp -= jitter * np.log(_uniform(random, i))
                times[count] = np.int64(stamp) // tick * tick
                index[count] = i
                polarity[count] = sign
                count += 1
            y = target
        filtered[i] = y
    return times[:count], index[:count], polarity[:count]
