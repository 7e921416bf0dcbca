"""Motion to sample: micro-expressions, and what can be mistaken for them.

The numbers in the tables are counted from the published annotations of CASME II (Yan et al.,
PLoS ONE 2014), SAMM (Davison et al., IEEE TAC 2018), CAS(ME)3 (Li et al., IEEE TPAMI 2023) and
DFME (Zhao et al., IEEE TAC 2024): frequencies of units, pairs, onset to apex and onset to
offset, share of one-sided movements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.synthesis.person.channels import PAIRED
from microexpr_ros.synthesis.world.motion import (
    REST,
    TOGETHER_NS,
    Gaze,
    HeadTurn,
    Motion,
    UnitActivation,
    Wave,
    delayed,
)

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

FAINT: Final = (0.03, 0.05)
STRONG: Final = (0.35, 0.5)
"""Amplitudes of expressions that are outside of those of `sample_clip`, 0.05 to 0.35."""

_MOUTH: Final = (10, 17, 18, 20, 24, 25, 26)
"""Units of the mouth, which nobody who talks shows as an expression."""

CALM: Final = ('neutral', 'talk', 'blink', 'head')
"""Kinds of takes without an expression."""


@dataclass(frozen=True, slots=True)
class Distractions:
    """How often a clip has what can be mistaken for an expression, each from 0 to 1.

    Attributes:
        blink: of clips whose main unit is not 45.
        gaze: glances.
        talk: speech, of clips whose main unit is not one of the mouth.
        sway: of the head.
        nod: nods, and shakes of the head.
        turn: of the head.
        shake: of the camera.
    """

    blink: float = 0.15
    gaze: float = 0.15
    talk: float = 0.08
    sway: float = 0.45
    nod: float = 0.06
    turn: float = 0.06
    shake: float = 0.12


USUAL: Final = Distractions()
HARD: Final = Distractions(blink=0.3, gaze=0.3, talk=0.3, nod=0.3, shake=0.3)
"""More of all, to learn what is no expression."""

_LONGEST_BLINK_NS: Final = 380_000_000

# What the lips do beside parting in a syllable: round, stretch, rise, press; 0 for nothing.
_LIP_SHAPES: Final = (0, 0, 18, 18, 20, 10, 24)


def sample_clip(
    rng: np.random.Generator, duration_ns: int, distractions: Distractions = USUAL
) -> Motion:
    """Sample a clip: a micro-expression (70 %), a macro-expression (12 %) or none (18 %).

    Distractors (blink, gaze, sway, nod, turn, camera shake, talking) are drawn apart from it, but
    for blinks under a blink and speech under a unit of the mouth; everybody breathes. Units that a
    distractor really moves (45 in a blink, 25, 26 and those of the lips in speech) are in the
    ground truth.

    Args:
        rng: Random numbers.
        duration_ns: Its length.
        distractions: How often there is each distractor.
    """
    kind = rng.choice(3, p=[0.70, 0.12, 0.18])
    activations: list[UnitActivation] = []
    dominant = onset = apex = offset = 0
    amplitude = 0.0
    if kind < 2:
        activations = _sample_expression(rng, duration_ns, micro=kind == 0)
        main = activations[0]
        dominant, amplitude = main.code, main.amplitude
        onset, apex, offset = main.onset_ns, main.apex_ns, main.offset_ns
    distractors = []
    if dominant != 45 and rng.random() < distractions.blink:
        distractors.append('blink')
        t_ns = int(rng.uniform(0.02, 0.85) * duration_ns)
        activations.append(_sample_blink(rng, t_ns, float(rng.uniform(0.85, 1))))
    gaze: list[Gaze] = [_sample_look(rng, -10_000_000_000, 0.25)]
    if rng.random() < distractions.gaze:
        distractors.append('gaze')
        gaze.append(_sample_look(rng, int(rng.uniform(0.05, 0.8) * duration_ns), 0.7))
    if dominant not in _MOUTH and rng.random() < distractions.talk:
        distractors.append('talk')
        activations += _sample_talk(rng, duration_ns)
    sway = 0.0
    if rng.random() < distractions.sway:
        distractors.append('sway')
        sway = float(np.exp(rng.uniform(np.log(0.05), np.log(0.8))))
    turns: list[HeadTurn] = []
    for name, chance, sample in (
        ('nod', distractions.nod, _sample_nod),
        ('turn', distractions.turn, _sample_turn),
    ):
        if rng.random() < chance:
            distractors.append(name)
            turns += sample(rng, int(rng.uniform(0, 0.7) * duration_ns))
    shake = 0.0
    if rng.random() < distractions.shake:
        distractors.append('shake')
        shake = float(rng.uniform(0.2, 1.0))
    return Motion(
        duration_ns,
        tuple(activations),
        tuple(gaze),
        _add_breath(rng, _sample_sway(rng, sway)),
        tuple(turns),
        tuple(sample_wave(rng, 0.004 * shake, 3, 12) for _ in range(2)),
        dominant,
        onset,
        apex,
        offset,
        amplitude,
        tuple(distractors),
    )


def sample_shifted_clip(rng: np.random.Generator, duration_ns: int) -> Motion:
    """Sample a clip as `sample_clip` does, with short expressions that are faint or strong."""
    motion = sample_clip(rng, duration_ns)
    while not facs.is_micro(motion.offset_ns - motion.onset_ns):
        motion = sample_clip(rng, duration_ns)
    if motion.dominant in (0, 45):
        return motion
    amplitude = float(rng.uniform(*(FAINT if rng.random() < 0.5 else STRONG)))
    factor = amplitude / motion.amplitude
    # The expression's units begin together; a blink keeps its depth.
    activations = tuple(
        replace(activation, amplitude=activation.amplitude * factor)
        if abs(activation.onset_ns - motion.onset_ns) <= TOGETHER_NS and activation.code != 45
        else activation
        for activation in motion.activations
    )
    return replace(motion, activations=activations, amplitude=amplitude)


def sample_story(rng: np.random.Generator, duration_ns: int) -> Motion:
    """Sample a long take for a demonstration: expressions with rests, blinks, glances, sway."""
    activations: list[UnitActivation] = []
    gaze = [_sample_look(rng, -10_000_000_000, 0.2)]
    t = 400_000_000
    while t < duration_ns:
        micro = rng.random() < 0.7
        space = int(0.75e9 if micro else 2.2e9)
        part = _sample_expression(rng, space, micro=micro)
        activations += [delayed(activation, t) for activation in part]
        t += space + int(rng.uniform(0.2e9, 1.2e9))
    activations += [
        _sample_blink(rng, t, 1.0) for t in _sample_times(rng, duration_ns, 0.5, 2, 1.5, 5)
    ]
    gaze += [_sample_look(rng, t, 0.5) for t in _sample_times(rng, duration_ns, 1, 3, 1.2, 4)]
    head = _add_breath(rng, _sample_sway(rng, 0.5))
    return Motion(duration_ns, tuple(activations), tuple(gaze), head, (), (REST,) * 2)


def sample_busy_story(rng: np.random.Generator, duration_ns: int) -> Motion:
    """Sample a long take with all that a face does, to score the whole pipeline on.

    Expressions, two thirds of them micro-expressions, with rests of 0.3 to 1.3 s between them;
    blinks, glances, sway and breath throughout; and, one after the other in a random order and
    each between two expressions, nods (or shakes of the head), a turn, and in every second take a
    second of speech.
    """
    talks = bool(rng.random() < 0.5)
    others = ['nod', 'turn', *(['talk'] if talks else [])]
    rng.shuffle(others)
    shown = ['blink', 'gaze', 'sway']
    activations: list[UnitActivation] = []
    turns: list[HeadTurn] = []
    t = int(rng.uniform(0.4e9, 0.9e9))
    for place in range(duration_ns // 1_000_000_000):
        if place % 2 and others:
            kind = others.pop()
            shown.append(kind)
            if kind == 'talk':
                spoken = _sample_talk(rng, 1_000_000_000)
                activations += [delayed(syllable, t) for syllable in spoken]
                t = max(syllable.offset_ns for syllable in activations)
            else:
                moved = (_sample_nod if kind == 'nod' else _sample_turn)(rng, t)
                turns += moved
                t = max(turn.offset_ns for turn in moved)
        else:
            micro = bool(rng.random() < 2 / 3)
            room = int(0.75e9 if micro else 2.2e9)
            part = _sample_expression(rng, room, micro)
            while talks and part[0].code in _MOUTH:
                part = _sample_expression(rng, room, micro)
            if t + room > duration_ns:
                break
            activations += [delayed(activation, t) for activation in part]
            t += room
        t += int(rng.uniform(0.3e9, 1.3e9))
    activations += _sample_blinks_apart(rng, duration_ns, activations, 0.5)
    return _busy(rng, duration_ns, activations, turns, shown)


def sample_excerpt(rng: np.random.Generator) -> Motion:
    """Sample an excerpt of 1.2 to 4 s of what `sample_busy_story` samples, to learn from.

    It has a micro-expression (50 %), a macro-expression (25 %) or none (25 %), so that it has one
    label. The head sways throughout; nods, a turn or speech fall anywhere in two thirds of them.
    """
    kind = rng.choice(3, p=[0.50, 0.25, 0.25])
    room_ns = (750_000_000, 2_200_000_000, 400_000_000)[kind]
    before_ns, after_ns = (int(s * 1e9) for s in rng.uniform((0.3, 0.2), (1.2, 0.6)))
    duration_ns = (before_ns + room_ns + after_ns) // SLICE_NS * SLICE_NS
    other = str(rng.choice(['none', 'nod', 'turn', 'talk'], p=[0.34, 0.24, 0.24, 0.18]))
    shown = ['blink', 'gaze', 'sway', *([other] if other != 'none' else [])]
    activations: list[UnitActivation] = []
    if kind < 2:
        part = _sample_expression(rng, room_ns, micro=kind == 0)
        while other == 'talk' and part[0].code in _MOUTH:
            part = _sample_expression(rng, room_ns, micro=kind == 0)
        activations = [delayed(activation, before_ns) for activation in part]
    main = activations[0] if activations else None
    t = int(rng.uniform(0, 0.8) * duration_ns)
    turns: list[HeadTurn] = []
    if other == 'talk':
        spoken = _sample_talk(rng, min(1_000_000_000, duration_ns - t))
        activations += [delayed(syllable, t) for syllable in spoken]
    elif other != 'none':
        turns = (_sample_nod if other == 'nod' else _sample_turn)(rng, t)
    activations += _sample_blinks_apart(rng, duration_ns, activations, 0.0)
    motion = _busy(rng, duration_ns, activations, turns, shown)
    if main is None:
        return motion
    return replace(
        motion,
        dominant=main.code,
        onset_ns=main.onset_ns,
        apex_ns=main.apex_ns,
        offset_ns=main.offset_ns,
        amplitude=main.amplitude,
    )


def _sample_blinks_apart(
    rng: np.random.Generator,
    duration_ns: int,
    activations: Sequence[UnitActivation],
    first_s: float,
) -> list[UnitActivation]:
    """Sample blinks that do not begin with an expression, as its parts do."""
    onsets = np.array([activation.onset_ns for activation in activations], np.int64)
    times = _sample_times(rng, duration_ns, first_s, 2, 1.5, 4)
    blinks = [_sample_blink(rng, t, 1.0) for t in times]
    return [
        blink
        for blink in blinks
        if not len(onsets) or np.abs(onsets - blink.onset_ns).min() > 2 * TOGETHER_NS
    ]


def _busy(
    rng: np.random.Generator,
    duration_ns: int,
    activations: Sequence[UnitActivation],
    turns: Sequence[HeadTurn],
    shown: Sequence[str],
) -> Motion:
    """Return a motion with glances, sway and breath throughout."""
    gaze = [_sample_look(rng, -10_000_000_000, 0.2)]
    gaze += [_sample_look(rng, t, 0.6) for t in _sample_times(rng, duration_ns, 1, 3, 1.2, 4)]
    head = _add_breath(rng, _sample_sway(rng, float(rng.uniform(0.15, 0.8))))
    return Motion(
        duration_ns,
        tuple(activations),
        tuple(gaze),
        head,
        tuple(turns),
        (REST,) * 2,
        distractors=tuple(shown),
    )


def sample_calm(rng: np.random.Generator, duration_ns: int, kind: str) -> Motion:
    """Sample a take without any expression, in which a detection is a false alarm.

    Args:
        rng: Random numbers.
        duration_ns: Its length.
        kind: One of CALM: `neutral` only breathes, `blink` also blinks and looks around, `talk`
            talks, `head` sways, nods and turns.
    """
    activations: list[UnitActivation] = []
    turns: list[HeadTurn] = []
    gaze = [_sample_look(rng, -10_000_000_000, 0.25)]
    head = _sample_sway(rng, float(rng.uniform(0.3, 0.8)) if kind == 'head' else 0.0)
    if kind == 'blink':
        activations += [
            _sample_blink(rng, t, 1.0) for t in _sample_times(rng, duration_ns, 0.2, 0.8, 0.6, 2)
        ]
        gaze += [
            _sample_look(rng, t, 0.7) for t in _sample_times(rng, duration_ns, 0.3, 1, 0.6, 2)
        ]
    elif kind == 'talk':
        activations += _sample_talk(rng, duration_ns)
    elif kind == 'head':
        for t in _sample_times(rng, duration_ns, 0.2, 0.8, 1.2, 2.2):
            turns += _sample_nod(rng, t) if rng.random() < 0.5 else _sample_turn(rng, t)
    distractors: dict[str, tuple[str, ...]] = {
        'neutral': (),
        'blink': ('blink', 'gaze'),
        'talk': ('talk',),
        'head': ('sway', 'nod', 'turn'),
    }
    return Motion(
        duration_ns,
        tuple(activations),
        tuple(gaze),
        _add_breath(rng, head),
        tuple(turns),
        (REST,) * 2,
        distractors=distractors[kind],
    )


def sample_rest(rng: np.random.Generator, duration_ns: int, moving_ns: int) -> Motion:
    """Sample a take whose head moves at first and then rests, without any expression.

    At first it nods and turns, so that all of the face is seen to move; it comes back to where it
    was, and from then on there are breath, blinks and glances alone.

    Args:
        rng: Random numbers.
        duration_ns: Its length.
        moving_ns: When the head has come to rest.
    """
    turns: list[HeadTurn] = []
    t_ns = int(rng.uniform(0.05e9, 0.15e9))
    while True:
        moved = (_sample_turn if not turns or rng.random() < 0.5 else _sample_nod)(rng, t_ns)
        ends_ns = max(turn.offset_ns for turn in moved)
        if ends_ns > moving_ns:
            if turns:
                break
            continue
        turns += moved
        t_ns = ends_ns + int(rng.uniform(0, 0.1e9))
    gaze = [_sample_look(rng, -10_000_000_000, 0.25)]
    gaze += [_sample_look(rng, t, 0.6) for t in _sample_times(rng, duration_ns, 1, 3, 1.2, 4)]
    blinks = [_sample_blink(rng, t, 1.0) for t in _sample_times(rng, duration_ns, 0.5, 2, 1.5, 4)]
    return Motion(
        duration_ns,
        tuple(blinks),
        tuple(gaze),
        _add_breath(rng, _sample_sway(rng, 0.0)),
        tuple(turns),
        (REST,) * 2,
        distractors=('nod', 'turn', 'blink', 'gaze'),
    )


def _sample_expression(
    rng: np.random.Generator, duration_ns: int, micro: bool
) -> list[UnitActivation]:
    """Sample the main unit first, then a partner perhaps, at about the same time."""
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
        total = min(_sample_quantile(rng, ONSET_TO_OFFSET_MS) * 1_000_000, facs.MICRO_NS, room)
        rise = min(_sample_quantile(rng, ONSET_TO_APEX_MS) * 1_000_000, 0.65 * total)
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
    activations = []
    for order, code in enumerate(codes):
        # Muscles of one expression start within a few tens of ms of each other.
        lag = 0.0 if order == 0 else rng.uniform(-30e6, 30e6)
        share = 1.0 if order == 0 else rng.uniform(0.5, 0.95)
        if code == 45:
            activations.append(_sample_blink(rng, int(onset + lag), float(rng.uniform(0.5, 1.0))))
            continue
        even = rng.uniform(0.85, 1.0)
        left, right = (1.0, even) if side else (even, 1.0)
        if one_sided and code in PAIRED:
            left, right = (1.0, weak) if side else (weak, 1.0)
        elif code not in PAIRED:
            left = right = 1.0
        activations.append(
            UnitActivation(
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
    return activations


def _sample_quantile(rng: np.random.Generator, tables: tuple[tuple[int, ...], ...]) -> float:
    """Sample from the piecewise linear distribution of a random database, between 5 and 95 %."""
    table = tables[rng.integers(len(tables))]
    return float(np.interp(rng.uniform(0.05, 0.95), _QUANTILES, table))


def _sample_blink(rng: np.random.Generator, t_ns: int, amplitude: float) -> UnitActivation:
    """Sample a blink: closing faster than opening, 0.5 s at most."""
    close = rng.uniform(60e6, 110e6)
    hold = rng.uniform(10e6, 50e6)
    opening = rng.uniform(110e6, 220e6)  # Together at most _LONGEST_BLINK_NS.
    return UnitActivation(45, *_whole(np.cumsum([t_ns, close, hold, opening])), amplitude)


def _whole(times_ns: NDArray[np.float64]) -> tuple[int, int, int, int]:
    start, full, release, end = (int(t) for t in times_ns)
    return start, full, release, end


def _sample_look(rng: np.random.Generator, t_ns: int, reach: float) -> Gaze:
    horizontal, vertical = rng.uniform(-1, 1, 2) * (reach, 0.6 * reach)
    return Gaze(t_ns, int(rng.uniform(30e6, 60e6)), float(horizontal), float(vertical))


def _sample_talk(rng: np.random.Generator, duration_ns: int) -> list[UnitActivation]:
    """Sample 3 to 6 syllables in a second: the jaw drops, the lips part, often take a shape."""
    out = []
    t = rng.uniform(0, 0.3e9)
    while t < duration_ns - 120e6:
        length = rng.uniform(140e6, 300e6)
        times = (int(t), int(t + 0.45 * length), int(t + 0.5 * length), int(t + length))
        opening = float(rng.uniform(0.15, 0.6))
        out.append(UnitActivation(26, *times, opening))
        out.append(UnitActivation(25, *times, 0.8 * opening))
        lips = int(rng.choice(_LIP_SHAPES))
        if lips:
            out.append(UnitActivation(lips, *times, float(rng.uniform(0.1, 0.45))))
        t += length * rng.uniform(0.85, 1.3)
    return out


def _sample_nod(rng: np.random.Generator, t_ns: int) -> list[HeadTurn]:
    """Sample one to three nods, or shakes of the head, 0.35 to 0.8 s each."""
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


def _sample_turn(rng: np.random.Generator, t_ns: int) -> list[HeadTurn]:
    """Sample a look aside, up or down that takes the head along, and back after a while."""
    there, stay, back = rng.uniform(0.3e9, 0.8e9, 3)
    times = _whole(np.cumsum([t_ns, there, stay, back]))
    angle = np.deg2rad(rng.uniform(6, 20)) * rng.choice([-1, 1])
    axes = [HeadTurn(1, *times, float(angle))]
    if rng.random() < 0.5:
        axes.append(HeadTurn(0, *times, float(np.deg2rad(rng.uniform(-6, 8)))))
    return axes


def _add_breath(rng: np.random.Generator, head: tuple[Wave, ...]) -> tuple[Wave, ...]:
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


def _sample_times(
    rng: np.random.Generator,
    duration_ns: int,
    first_low_s: float,
    first_high_s: float,
    low_s: float,
    high_s: float,
) -> list[int]:
    """Sample times, ns: the first, and then one after the other."""
    out = []
    t = int(rng.uniform(first_low_s, first_high_s) * 1e9)
    while t < duration_ns:
        out.append(t)
        t += int(rng.uniform(low_s, high_s) * 1e9)
    return out


def _sample_sway(rng: np.random.Generator, strength: float) -> tuple[Wave, ...]:
    # Postural sway: a few degrees and millimetres at up to one hertz.
    turns = [sample_wave(rng, 0.03 * strength, 0.15, 1.2) for _ in range(3)]
    shifts = [sample_wave(rng, 0.04 * strength, 0.15, 1.2) for _ in range(3)]
    return (*turns, *shifts)


def sample_wave(rng: np.random.Generator, amplitude: float, low_hz: float, high_hz: float) -> Wave:
    """Sample a wander of three sines that never exceeds an amplitude."""
    hz = rng.uniform(low_hz, high_hz, 3)
    # Slow waves are the large ones.
    share = rng.uniform(0.3, 1, 3) * low_hz / hz
    return Wave(amplitude * share / share.sum(), hz, rng.uniform(0, 2 * np.pi, 3))
