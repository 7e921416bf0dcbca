"""What a face does over time: micro-expressions, and what can be mistaken for them.

The numbers in the tables are counted from the published annotations of CASME II (Yan et al.,
PLoS ONE 2014), SAMM (Davison et al., IEEE TAC 2018), CAS(ME)3 (Li et al., IEEE TPAMI 2023) and
DFME (Zhao et al., IEEE TAC 2024): frequencies of units, pairs, onset to apex and onset to
offset, share of one-sided movements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.synthesis.person.face import PAIRED

FREQUENCY: Final[dict[int, float]] = {
    1: 0.121, 2: 0.124, 4: 0.345, 5: 0.073, 6: 0.046, 7: 0.171, 9: 0.038, 10: 0.044, 12: 0.122,
    14: 0.119, 15: 0.028, 17: 0.054, 18: 0.006, 20: 0.016, 24: 0.058, 25: 0.018, 26: 0.010,
    45: 0.013,
}  # fmt: skip
"""Share of micro-expressions that contain a unit: the mean of the four databases (43 as 45)."""

UNIFORM_SHARE: Final = 0.5
"""Part of the draw of units that is uniform. The databases alone would give unit 18 six clips
in a thousand, too few to learn it; half of the draw keeps their proportions."""

PAIRS: Final[dict[tuple[int, int], float]] = {
    (1, 2): 0.087, (4, 7): 0.081, (6, 12): 0.030, (1, 5): 0.029, (2, 5): 0.029, (4, 10): 0.022,
    (4, 9): 0.021, (7, 45): 0.013, (4, 6): 0.009, (14, 24): 0.008, (7, 12): 0.008, (7, 10): 0.008,
    (4, 5): 0.007, (4, 45): 0.006, (25, 26): 0.006, (6, 7): 0.006, (7, 9): 0.005, (15, 17): 0.005,
    (12, 15): 0.005, (14, 17): 0.005, (1, 4): 0.003, (4, 12): 0.003, (4, 17): 0.003,
    (6, 15): 0.003, (9, 14): 0.003, (4, 14): 0.002, (6, 9): 0.001,
    (9, 17): 0.002, (10, 17): 0.002, (10, 25): 0.002, (12, 25): 0.002, (17, 24): 0.002,
    (18, 25): 0.002, (20, 25): 0.002,
}  # fmt: skip
"""Share of micro-expressions that contain a pair: the mean of the four databases. The last row
is not counted there: combinations that FACS calls common, at an assumed 0.002, so that every
unit has partners."""

PARTNER_CHANCE: Final = 0.45
"""Chance of another unit: gives the 1.25-1.73 units per expression of the databases."""

ONE_SIDED_CHANCE: Final = 0.18
"""Share of one-sided expressions: 0.10 (CAS(ME)3) to 0.26 (SAMM)."""

_QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
ONSET_TO_APEX_MS: Final = (
    (75, 115, 152, 208, 325),
    (70, 120, 160, 198, 301),
    (100, 167, 200, 233, 267),
    (90, 146, 200, 243, 313),
)
"""Quantiles 5, 25, 50, 75 and 95 % in CASME II, SAMM, CAS(ME)3, DFME, ms."""

ONSET_TO_OFFSET_MS: Final = (
    (175, 250, 300, 425, 495),
    (194, 292, 385, 442, 495),
    (200, 307, 392, 460, 497),
)
"""The same in CASME II, SAMM and DFME (CAS(ME)3 also counts slow returns), ms."""

CALM: Final = ('neutral', 'talk', 'blink', 'head')
"""Kinds of takes without an expression."""

_LONGEST_BLINK_NS: Final = 380_000_000

# What the lips do beside parting in a syllable: round, stretch, rise, press; 0 for nothing.
_LIP_SHAPES: Final = (0, 0, 18, 18, 20, 10, 24)

CHANNELS: Final = 2 * len(facs.CODES) + 8
"""Left and right of each unit of facs.CODES, then face.GAZE."""


@dataclass(frozen=True, slots=True)
class Bump:
    """One unit's rise and fall.

    Attributes:
        code: FACS code.
        onset_ns, apex_ns, release_ns, offset_ns: begin, full, begin of the fall, end.
        amplitude: intensity at the apex, 0-1.
        left: share of it on the subject's left, 0-1; the stronger side has 1.
        right: share of it on the subject's right, 0-1.
    """

    code: int
    onset_ns: int
    apex_ns: int
    release_ns: int
    offset_ns: int
    amplitude: float
    left: float = 1.0
    right: float = 1.0

    def level(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the intensity, float64 [N], at times t_ns: minimum-jerk rise and fall."""
        times = self.onset_ns, self.apex_ns, self.release_ns, self.offset_ns
        return self.amplitude * _rise_and_fall(t_ns, *times)


@dataclass(frozen=True, slots=True)
class Wave:
    """A slow, smooth wander: a sum of sines.

    Attributes:
        amplitude: float64 [K].
        hz: float64 [K].
        phase: float64 [K], rad.
    """

    amplitude: NDArray[np.float64]
    hz: NDArray[np.float64]
    phase: NDArray[np.float64]

    def level(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the value, float64 [N], at times t_ns."""
        seconds = np.asarray(t_ns, np.float64)[:, None] * 1e-9
        waves = self.amplitude * np.sin(2 * np.pi * self.hz * seconds + self.phase)
        return np.asarray(waves.sum(axis=1), np.float64)


_REST: Final = Wave(np.zeros(1), np.zeros(1), np.zeros(1))


@dataclass(frozen=True, slots=True)
class Gaze:
    """A saccade: from t_ns on the eyes look elsewhere.

    Attributes:
        t_ns: when it begins.
        duration_ns: how long it takes.
        horizontal: to the subject's left, -1 to 1 of the face unit's range.
        vertical: up, likewise.
    """

    t_ns: int
    duration_ns: int
    horizontal: float
    vertical: float


@dataclass(frozen=True, slots=True)
class HeadTurn:
    """The head turns about one axis, and back if the clip lasts.

    Attributes:
        axis: 0, 1 or 2: about x (nodding), y (shaking) or z (tilting).
        onset_ns, apex_ns, release_ns, offset_ns: begin, full, begin of the return, end.
        angle: at its height, rad.
    """

    axis: int
    onset_ns: int
    apex_ns: int
    release_ns: int
    offset_ns: int
    angle: float

    def level(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the angle, float64 [N], at times t_ns, rad."""
        times = self.onset_ns, self.apex_ns, self.release_ns, self.offset_ns
        return self.angle * _rise_and_fall(t_ns, *times)


@dataclass(frozen=True, slots=True)
class Motion:
    """Everything that moves in a clip, at any time.

    Attributes:
        duration_ns: length of the clip.
        bumps: the units' movements.
        gaze: saccades in order of time.
        head: six waves: rotation about x, y, z (rad), translation along x, y, z (dm).
        turns: what the head does beside its waves.
        camera: two waves: shift of the picture in columns and rows, relative to its width.
        dominant: FACS code of the main unit, 0 for none.
        onset_ns, apex_ns, offset_ns: of the main unit, 0 for none.
        amplitude: intensity of the main unit at its apex.
        distractors: names of what else goes on.
    """

    duration_ns: int
    bumps: tuple[Bump, ...]
    gaze: tuple[Gaze, ...]
    head: tuple[Wave, ...]
    turns: tuple[HeadTurn, ...]
    camera: tuple[Wave, ...]
    dominant: int = 0
    onset_ns: int = 0
    apex_ns: int = 0
    offset_ns: int = 0
    amplitude: float = 0.0
    distractors: tuple[str, ...] = ()

    def channels(self, t_ns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the values of a rig's channels, float32 [N, CHANNELS], 0-1."""
        out = np.zeros((len(t_ns), CHANNELS))
        for bump in self.bumps:
            level = bump.level(t_ns)
            at = 2 * facs.CODES.index(bump.code)
            # Two movements of one muscle do not add up: the stronger one shows.
            out[:, at] = np.maximum(out[:, at], bump.left * level)
            out[:, at + 1] = np.maximum(out[:, at + 1], bump.right * level)
        horizontal, vertical = np.zeros(len(t_ns)), np.zeros(len(t_ns))
        for saccade in self.gaze:
            share = _minimum_jerk((t_ns - saccade.t_ns) / saccade.duration_ns)
            horizontal += (saccade.horizontal - horizontal) * share
            vertical += (saccade.vertical - vertical) * share
        out[:, -8] = out[:, -3] = np.maximum(-horizontal, 0)
        out[:, -7] = out[:, -4] = np.maximum(horizontal, 0)
        out[:, -6] = out[:, -2] = np.maximum(vertical, 0)
        out[:, -5] = out[:, -1] = np.maximum(-vertical, 0)
        return out.astype(np.float32)

    def sides(self, t_ns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the units' intensities, float32 [N, 18, 2]: subject's left and right, 0-1."""
        channels = self.channels(t_ns)[:, : 2 * len(facs.CODES)]
        return np.asarray(np.clip(channels.reshape(len(t_ns), -1, 2), 0, 1), np.float32)

    def intensity(self, t_ns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the units' intensities, float32 [N, 18]: the stronger side, 0-1."""
        return np.asarray(self.sides(t_ns).max(axis=2), np.float32)

    def pose(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return head rotation (rad) and translation (dm), float64 [N, 6]."""
        out = np.stack([wave.level(t_ns) for wave in self.head], axis=1)
        for turn in self.turns:
            out[:, turn.axis] += turn.level(t_ns)
        return out

    def shift(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the picture's shift by the camera's shaking, float64 [N, 2], of its width."""
        return np.stack([wave.level(t_ns) for wave in self.camera], axis=1)


def draw_clip(rng: np.random.Generator, duration_ns: int) -> Motion:
    """Draw a clip: a micro-expression (70 %), a macro-expression (12 %) or none (18 %).

    Distractors (blink, gaze, sway, nod, turn, camera shake, talking) are drawn apart from it, but
    for blinks under a blink and speech under a unit of the mouth; everybody breathes. Units that a
    distractor really moves (45 in a blink, 25, 26 and those of the lips in speech) are in the
    ground truth.
    """
    kind = rng.choice(3, p=[0.70, 0.12, 0.18])
    bumps: list[Bump] = []
    dominant = onset = apex = offset = 0
    amplitude = 0.0
    if kind < 2:
        bumps = _expression(rng, duration_ns, micro=kind == 0)
        main = bumps[0]
        dominant, amplitude = main.code, main.amplitude
        onset, apex, offset = main.onset_ns, main.apex_ns, main.offset_ns
    distractors = []
    if dominant != 45 and rng.random() < 0.15:
        distractors.append('blink')
        t_ns = int(rng.uniform(0.02, 0.85) * duration_ns)
        bumps.append(_blink(rng, t_ns, float(rng.uniform(0.85, 1))))
    gaze: list[Gaze] = [_look(rng, -10_000_000_000, 0.25)]
    if rng.random() < 0.15:
        distractors.append('gaze')
        gaze.append(_look(rng, int(rng.uniform(0.05, 0.8) * duration_ns), 0.7))
    if dominant not in (10, 17, 18, 20, 24, 25, 26) and rng.random() < 0.08:
        distractors.append('talk')
        bumps += _talk(rng, duration_ns)
    sway = 0.0
    if rng.random() < 0.45:
        distractors.append('sway')
        sway = float(np.exp(rng.uniform(np.log(0.05), np.log(0.8))))
    turns: list[HeadTurn] = []
    for name, chance, draw in (('nod', 0.06, _nod), ('turn', 0.06, _turn)):
        if rng.random() < chance:
            distractors.append(name)
            turns += draw(rng, int(rng.uniform(0, 0.7) * duration_ns))
    shake = 0.0
    if rng.random() < 0.12:
        distractors.append('shake')
        shake = float(rng.uniform(0.2, 1.0))
    return Motion(
        duration_ns,
        tuple(bumps),
        tuple(gaze),
        _breathe(rng, _sway(rng, sway)),
        tuple(turns),
        tuple(_wave(rng, 0.004 * shake, 3, 12) for _ in range(2)),
        dominant,
        onset,
        apex,
        offset,
        amplitude,
        tuple(distractors),
    )


def draw_story(rng: np.random.Generator, duration_ns: int) -> Motion:
    """Draw a long take for a demonstration: expressions with rests, blinks, glances, sway."""
    bumps: list[Bump] = []
    gaze = [_look(rng, -10_000_000_000, 0.2)]
    t = 400_000_000
    while t < duration_ns:
        micro = rng.random() < 0.7
        space = int(0.75e9 if micro else 2.2e9)
        part = _expression(rng, space, micro=micro)
        bumps += [delayed(bump, t) for bump in part]
        t += space + int(rng.uniform(0.2e9, 1.2e9))
    bumps += [_blink(rng, t, 1.0) for t in _repeat(rng, duration_ns, 0.5, 2, 1.5, 5)]
    gaze += [_look(rng, t, 0.5) for t in _repeat(rng, duration_ns, 1, 3, 1.2, 4)]
    head = _breathe(rng, _sway(rng, 0.5))
    return Motion(duration_ns, tuple(bumps), tuple(gaze), head, (), (_REST,) * 2)


def draw_calm(rng: np.random.Generator, duration_ns: int, kind: str) -> Motion:
    """Draw a take without any expression, in which a detection is a false alarm.

    Args:
        rng: Draws it.
        duration_ns: Its length.
        kind: One of CALM: `neutral` only breathes, `blink` also blinks and looks around, `talk`
            talks, `head` sways, nods and turns.
    """
    bumps: list[Bump] = []
    turns: list[HeadTurn] = []
    gaze = [_look(rng, -10_000_000_000, 0.25)]
    head = _sway(rng, float(rng.uniform(0.3, 0.8)) if kind == 'head' else 0.0)
    if kind == 'blink':
        bumps += [_blink(rng, t, 1.0) for t in _repeat(rng, duration_ns, 0.2, 0.8, 0.6, 2)]
        gaze += [_look(rng, t, 0.7) for t in _repeat(rng, duration_ns, 0.3, 1, 0.6, 2)]
    elif kind == 'talk':
        bumps += _talk(rng, duration_ns)
    elif kind == 'head':
        for t in _repeat(rng, duration_ns, 0.2, 0.8, 1.2, 2.2):
            turns += _nod(rng, t) if rng.random() < 0.5 else _turn(rng, t)
    distractors: dict[str, tuple[str, ...]] = {
        'neutral': (),
        'blink': ('blink', 'gaze'),
        'talk': ('talk',),
        'head': ('sway', 'nod', 'turn'),
    }
    return Motion(
        duration_ns,
        tuple(bumps),
        tuple(gaze),
        _breathe(rng, head),
        tuple(turns),
        (_REST,) * 2,
        distractors=distractors[kind],
    )


def single(code: int, amplitude: float, rise_ns: int) -> Motion:
    """Return one unit's rise from rest, with nothing else that moves."""
    bump = Bump(code, 0, rise_ns, 2 * rise_ns, 3 * rise_ns, amplitude)
    times = 0, rise_ns, 3 * rise_ns
    rest = (_REST,) * 6, (), (_REST,) * 2
    return Motion(rise_ns, (bump,), (), *rest, code, *times, amplitude)


def _expression(rng: np.random.Generator, duration_ns: int, micro: bool) -> list[Bump]:
    """Draw the main unit first, then a partner perhaps, at about the same time."""
    published = np.array([FREQUENCY[code] for code in facs.CODES])
    chance = (1 - UNIFORM_SHARE) * published / published.sum() + UNIFORM_SHARE / len(facs.CODES)
    dominant = int(rng.choice(facs.CODES, p=chance))
    codes = [dominant]
    if rng.random() < PARTNER_CHANCE:
        partners = {
            (b if a == dominant else a): share
            for (a, b), share in PAIRS.items()
            if dominant in (a, b)
        }
        if partners:
            shares = np.array(list(partners.values()))
            codes.append(int(rng.choice(list(partners), p=shares / shares.sum())))
    room = duration_ns - 80_000_000
    if micro:
        total = min(_quantile_draw(rng, ONSET_TO_OFFSET_MS) * 1_000_000, facs.MICRO_NS, room)
        rise = min(_quantile_draw(rng, ONSET_TO_APEX_MS) * 1_000_000, 0.65 * total)
        amplitude = float(rng.triangular(0.05, 0.22, 0.35))
    else:
        total = rng.uniform(0.6, 1.0) * room
        rise = rng.uniform(0.3, 0.5) * total
        amplitude = float(rng.uniform(0.35, 1.0))
    if dominant == 45:
        total = _LONGEST_BLINK_NS
    hold = rng.uniform(0.05, 0.25) * max(total - rise, 0)
    onset = rng.uniform(40e6, max(duration_ns - total - 40e6, 41e6))
    one_sided = rng.random() < ONE_SIDED_CHANCE
    weak, side = rng.uniform(0, 0.3), rng.random() < 0.5
    bumps = []
    for order, code in enumerate(codes):
        # Muscles of one expression start within a few tens of ms of each other.
        lag = 0.0 if order == 0 else rng.uniform(-30e6, 30e6)
        share = 1.0 if order == 0 else rng.uniform(0.5, 0.95)
        if code == 45:
            bumps.append(_blink(rng, int(onset + lag), float(rng.uniform(0.5, 1.0))))
            continue
        even = rng.uniform(0.85, 1.0)
        left, right = (1.0, even) if side else (even, 1.0)
        if one_sided and code in PAIRED:
            left, right = (1.0, weak) if side else (weak, 1.0)
        elif code not in PAIRED:
            left = right = 1.0
        bumps.append(
            Bump(
                code,
                int(onset + lag),
                int(onset + lag + rise),
                int(onset + lag + rise + hold),
                int(onset + lag + total),
                amplitude * share,
                float(left),
                float(right),
            )
        )
    return bumps


def _quantile_draw(rng: np.random.Generator, tables: tuple[tuple[int, ...], ...]) -> float:
    """Draw from the piecewise linear distribution of a random database, between 5 and 95 %."""
    table = tables[rng.integers(len(tables))]
    return float(np.interp(rng.uniform(0.05, 0.95), _QUANTILES, table))


def _blink(rng: np.random.Generator, t_ns: int, amplitude: float) -> Bump:
    """Draw a blink: closing faster than opening, 0.5 s at most."""
    close = rng.uniform(60e6, 110e6)
    hold = rng.uniform(10e6, 50e6)
    opening = rng.uniform(110e6, 220e6)  # Together at most _LONGEST_BLINK_NS.
    return Bump(45, *_whole(np.cumsum([t_ns, close, hold, opening])), amplitude)


def _whole(times_ns: NDArray[np.float64]) -> tuple[int, int, int, int]:
    start, full, release, end = (int(t) for t in times_ns)
    return start, full, release, end


def _look(rng: np.random.Generator, t_ns: int, reach: float) -> Gaze:
    horizontal, vertical = rng.uniform(-1, 1, 2) * (reach, 0.6 * reach)
    return Gaze(t_ns, int(rng.uniform(30e6, 60e6)), float(horizontal), float(vertical))


def _talk(rng: np.random.Generator, duration_ns: int) -> list[Bump]:
    """Draw syllables, 3 to 6 in a second: the jaw drops, the lips part, and often take a shape."""
    out = []
    t = rng.uniform(0, 0.3e9)
    while t < duration_ns - 120e6:
        length = rng.uniform(140e6, 300e6)
        times = (int(t), int(t + 0.45 * length), int(t + 0.5 * length), int(t + length))
        opening = float(rng.uniform(0.15, 0.6))
        out.append(Bump(26, *times, opening))
        out.append(Bump(25, *times, 0.8 * opening))
        lips = int(rng.choice(_LIP_SHAPES))
        if lips:
            out.append(Bump(lips, *times, float(rng.uniform(0.1, 0.45))))
        t += length * rng.uniform(0.85, 1.3)
    return out


def _nod(rng: np.random.Generator, t_ns: int) -> list[HeadTurn]:
    """Draw one to three nods, or shakes of the head, 0.35 to 0.8 s each."""
    axis = 0 if rng.random() < 0.7 else 1
    angle = float(np.deg2rad(rng.uniform(3, 10)))
    out = []
    for number in range(int(rng.integers(1, 4))):
        period = rng.uniform(0.35e9, 0.8e9)
        times = _whole(np.array([0, 0.5, 0.5, 1.0]) * period + t_ns)
        # A nod goes down and comes back; a shake goes to both sides.
        out.append(HeadTurn(axis, *times, angle * (-1 if axis == 1 and number % 2 else 1)))
        t_ns = times[3]
    return out


def _turn(rng: np.random.Generator, t_ns: int) -> list[HeadTurn]:
    """Draw a look aside, up or down that takes the head along, and back after a while."""
    there, stay, back = rng.uniform(0.3e9, 0.8e9, 3)
    times = _whole(np.cumsum([t_ns, there, stay, back]))
    angle = np.deg2rad(rng.uniform(6, 20)) * rng.choice([-1, 1])
    axes = [HeadTurn(1, *times, float(angle))]
    if rng.random() < 0.5:
        axes.append(HeadTurn(0, *times, float(np.deg2rad(rng.uniform(-6, 8)))))
    return axes


def _breathe(rng: np.random.Generator, head: tuple[Wave, ...]) -> tuple[Wave, ...]:
    """Add breath to the head's waves: 12 to 21 in a minute, up to two millimetres."""
    hz, phase = rng.uniform(0.2, 0.35), rng.uniform(0, 2 * np.pi)
    depth = {0: rng.uniform(0.5e-3, 3e-3), 4: rng.uniform(2e-3, 1e-2), 5: rng.uniform(1e-3, 8e-3)}
    return tuple(
        Wave(
            np.append(wave.amplitude, depth[axis]),
            np.append(wave.hz, hz),
            np.append(wave.phase, phase),
        )
        if axis in depth
        else wave
        for axis, wave in enumerate(head)
    )


def _repeat(
    rng: np.random.Generator,
    duration_ns: int,
    first_low_s: float,
    first_high_s: float,
    low_s: float,
    high_s: float,
) -> list[int]:
    """Draw times, ns: the first, and then one after the other."""
    out = []
    t = int(rng.uniform(first_low_s, first_high_s) * 1e9)
    while t < duration_ns:
        out.append(t)
        t += int(rng.uniform(low_s, high_s) * 1e9)
    return out


def _sway(rng: np.random.Generator, strength: float) -> tuple[Wave, ...]:
    # Postural sway: a few degrees and millimetres at up to one hertz.
    turns = [_wave(rng, 0.03 * strength, 0.15, 1.2) for _ in range(3)]
    shifts = [_wave(rng, 0.04 * strength, 0.15, 1.2) for _ in range(3)]
    return (*turns, *shifts)


def _wave(rng: np.random.Generator, amplitude: float, low_hz: float, high_hz: float) -> Wave:
    hz = rng.uniform(low_hz, high_hz, 3)
    # Slow waves are the large ones.
    share = rng.uniform(0.3, 1, 3) * low_hz / hz
    return Wave(amplitude * share / share.sum(), hz, rng.uniform(0, 2 * np.pi, 3))


def delayed(bump: Bump, by_ns: int) -> Bump:
    """Return the same movement at a later time."""
    return Bump(
        bump.code,
        bump.onset_ns + by_ns,
        bump.apex_ns + by_ns,
        bump.release_ns + by_ns,
        bump.offset_ns + by_ns,
        bump.amplitude,
        bump.left,
        bump.right,
    )


def _rise_and_fall(
    t_ns: NDArray[np.int64], start_ns: int, full_ns: int, release_ns: int, end_ns: int
) -> NDArray[np.float64]:
    """Return 0 to 1 and back to 0, float64 [N]."""
    rise = _minimum_jerk((t_ns - start_ns) / max(full_ns - start_ns, 1))
    fall = _minimum_jerk((t_ns - release_ns) / max(end_ns - release_ns, 1))
    return np.asarray(rise * (1 - fall), np.float64)


def _minimum_jerk(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the minimum-jerk course from 0 to 1 (Flash and Hogan 1985)."""
    x = np.clip(x, 0, 1)
    return np.asarray(x**3 * (10 - 15 * x + 6 * x * x), np.float64)
