"""How a report writes numbers and defines its scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.facs import CODES, PRESENT
from microexpr_ros.learning.evaluation.action_unit_report import Interval, Score
from microexpr_ros.learning.evaluation.asymmetry import UNEVEN
from microexpr_ros.learning.evaluation.resampling import SAMPLES
from microexpr_ros.learning.evaluation.spotting import MIN_OVERLAP
from microexpr_ros.learning.metrics import CONFIDENCE_BINS

NOTHING: Final = '–'

SLICE: Final = f'slices of {SLICE_NS / 1e6:g} ms'

DEFINITIONS: Final = (
    (
        'Clip accuracy',
        'One answer for each clip of about a second: the dominant unit, whose largest evidence '
        '(intensity, of methods that gather none) is furthest above its threshold, or none. The '
        f'score is the share of clips with the right answer; there are {len(CODES)} units.',
    ),
    (
        'UF1, UAR, AUC',
        f'Means over the units, each scored on all {SLICE}. A unit is truly present where its '
        f'true intensity is at least {PRESENT:g}, and found where the classifier calls it active. '
        'UF1 is the F1 score. UAR is the mean of the recall of present and the recall of absent: '
        '0.5 is chance. AUC is the area under the ROC curve of the intensity: 0.5 is chance.',
    ),
    (
        'Left or right',
        f'Of units and {SLICE} in which the true intensities of the two sides differ by at least '
        f'{UNEVEN:g}: the share in which the estimate is stronger on the truly stronger side, a '
        'tie counting half, and the area under the ROC curve of left minus right.',
    ),
    (
        'Spotting F1',
        'Detections of the package’s own spotter are matched one to one with true expressions '
        f'whose intervals overlap by an intersection over union of at least {MIN_OVERLAP:g}, as '
        'in the MEGC challenges. Detections of real blinks count neither as right nor as wrong.',
    ),
    (
        'False alarms',
        'Detections per minute of stream without any expression. A detection is false if none of '
        'its units is truly present at any time of its interval.',
    ),
    (
        'Delay',
        'Time from the true onset to the end of the slice in which the dominant unit becomes '
        'active; only of expressions whose unit becomes active before their offset.',
    ),
    (
        'Calibration error',
        'Expected calibration error: the mean distance between the published confidence and the '
        f'share of right decisions (unit present or absent), over {CONFIDENCE_BINS} bins of equal '
        'width. The warm-up at the start of each clip, about 0.2 s, does not count.',
    ),
    (
        'Intervals',
        f'95 % confidence intervals: the middle of {SAMPLES} bootstrap samples of persons, so '
        'that the clips of one person stay together.',
    ),
    (
        'Synaptic operations',
        'Additions of a weight to a neuron, counted on the clips; inputs that are zero cause '
        'none. The multiply-adds of a dense network are counted whether or not an input is zero.',
    ),
)
"""What the scores mean."""


def percent(value: float) -> str:
    """Write a share.

    Example:
        >>> percent(0.2291), percent(math.nan)
        ('22.9 %', '–')
    """
    return NOTHING if math.isnan(value) else f'{100 * value:.1f} %'


def points(value: float) -> str:
    """Write a difference of shares, in percentage points.

    Example:
        >>> points(0.146), points(-0.02)
        ('14.6 points', '-2.0 points')
    """
    return NOTHING if math.isnan(value) else f'{100 * value:.1f} points'


def fraction(value: float) -> str:
    """Write a score between 0 and 1."""
    return NOTHING if math.isnan(value) else f'{value:.3f}'


def number(value: float, unit: str = '') -> str:
    """Write a number of any size with three digits.

    Example:
        >>> number(1234567, '/s'), number(81.97, 'ms'), number(0.51)
        ('1.23 M/s', '82 ms', '0.51')
    """
    if math.isnan(value):
        return NOTHING
    size, prefix = next(
        (pair for pair in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')) if abs(value) >= pair[0]), (1, '')
    )
    return f'{value / size:.3g} {prefix}{unit}'.rstrip()


def milliseconds(value: float) -> str:
    """Write a time in ms."""
    return number(value, 'ms')


def per_second(value: float) -> str:
    """Write a rate in 1/s."""
    return number(value, '/s')


def between(interval: Interval, write: Callable[[float], str]) -> str:
    """Write the bounds of an interval; nothing if it is unknown.

    Example:
        >>> between((0.1, 0.2), percent), between((math.nan, math.nan), percent)
        ('10.0 % to 20.0 %', '')
    """
    return '' if any(map(math.isnan, interval)) else ' to '.join(map(write, interval))


def with_interval(score: Score, write: Callable[[float], str]) -> str:
    """Write a value, and its interval in brackets if it is known.

    Example:
        >>> with_interval(Score(0.15, (0.1, 0.2)), percent), with_interval(Score(0.15), percent)
        ('15.0 % (10.0 % to 20.0 %)', '15.0 %')
    """
    bounds = between(score.ci95, write)
    return f'{write(score.value)} ({bounds})' if bounds else write(score.value)
