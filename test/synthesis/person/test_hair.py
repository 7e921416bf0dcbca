from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from microexpr_ros.synthesis.person.hair import Hair, Style, cover, sample_hair, stand_off

CROWN, FOREHEAD, NAPE, EAR = (
    np.array(point, np.float32)
    for point in ((0, 8.5, 0.2), (0, 7.7, 1.4), (0, 7.3, -0.5), (0.8, 7.1, 0.4))
)
SHORT = Hair(Style.SHORT, 0.0, 0.0, 0.08, 0)


@pytest.mark.parametrize('style', [Style.SHAVED, Style.SHORT, Style.FULL, Style.CAP])
def test_crown_and_nape_are_covered_forehead_and_ears_are_not(style):
    worn = replace(SHORT, style=style)
    covered = cover(worn, np.stack([CROWN, NAPE, FOREHEAD, EAR]))
    np.testing.assert_array_equal(covered, [1, 1, 0, 0])
    assert cover(worn, np.full((2, 3), np.nan, np.float32)).tolist() == [0, 0]


def test_a_bald_head_has_neither_cover_nor_volume():
    bald = replace(SHORT, style=Style.BALD)
    points = np.stack([CROWN, NAPE])
    assert cover(bald, points).max() == 0
    assert np.abs(stand_off(bald, points)).max() == 0


def test_hair_stands_off_outwards_by_its_volume_at_the_crown():
    moved = stand_off(SHORT, np.stack([CROWN, FOREHEAD]))
    np.testing.assert_allclose(moved[0], [0, 0.08, 0], atol=1e-3)
    np.testing.assert_array_equal(moved[1], 0)


def test_a_receding_hairline_shows_the_temples():
    temple = np.array([[0.6, 7.5, 0.6]], np.float32)
    assert cover(SHORT, temple)[0] == 1
    assert cover(replace(SHORT, recede=0.2), temple)[0] == 0


def test_all_styles_occur_and_women_are_not_bald():
    rng = np.random.default_rng(0)
    men, women = (
        Counter(sample_hair(rng, male, 0.5).style for _ in range(500)) for male in (1.0, 0.0)
    )
    assert set(men) == set(Style)
    assert set(women) == set(Style) - {Style.BALD}
