import json
import math
from dataclasses import dataclass

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from microexpr_ros.learning.evaluation.rounding import DECIMALS, json_values, rounded


@dataclass(frozen=True, slots=True)
class Pair:
    share: float
    bounds: tuple[float, float]


def test_a_result_is_rounded_wherever_its_numbers_are():
    pair = Pair(2 / 3, (0.12345, math.inf))
    assert rounded(pair) == Pair(0.6667, (0.1235, math.inf))
    assert rounded({'rows': [pair], 'n': 12345}) == {'rows': [rounded(pair)], 'n': 12345}
    assert math.isnan(rounded(math.nan))
    # The numbers of NumPy too, which JSON and `repr` would write in another way.
    assert type(rounded(np.float64(0.5))) is float
    assert rounded(True) is True


def test_json_has_no_number_for_what_is_not_finite():
    values = json_values(Pair(math.nan, (-math.inf, 1 / 3)))
    assert values == {'share': None, 'bounds': [None, 0.3333]}
    json.dumps(values, allow_nan=False)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_twice_changes_nothing(value):
    assert rounded(rounded(value)) == rounded(value)
    assert abs(rounded(value) - value) <= 0.5 * 10**-DECIMALS + 1e-12 * abs(value)
