"""The messages of other packages that `interfaces/` holds are those of upstream."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from microexpr_ros.bags.definitions import define

UPSTREAM = {
    'hri_msgs/msg/FacialActionUnits': (
        'RIHS01_43f431104624b6ff7f84350f1faa3747efc8a9330dee942b717a08830a267ed3'
    ),
    'hri_msgs/msg/FacialLandmarks': (
        'RIHS01_f1d6b0ba159f4d6be1632e5dfc9cb79ce5e35da73888da2a4789bd9b35112a63'
    ),
    'hri_msgs/msg/NormalizedPointOfInterest2D': (
        'RIHS01_cc1d2f720c82afeb850ff1dbf66f41ecb7caf19f842987f1247e66160cf03953'
    ),
    'hri_msgs/msg/IdsList': (
        'RIHS01_7e0812d1ac945c98fd3e393568d581ad0ab567f37b24eff633eab778c1bfe62d'
    ),
    'hri_msgs/msg/NormalizedRegionOfInterest2D': (
        'RIHS01_2e50c93f1ca166ee77af9a5424dc951ae4e452b740162a7f83c082d917dcaff5'
    ),
    'tf2_msgs/msg/TFMessage': (
        'RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087'
    ),
}
"""By REP-2011, from the .msg files of the releases for Jazzy: hri_msgs 2.3.2, tf2_msgs 0.36.4."""


@pytest.mark.parametrize(('name', 'digest'), UPSTREAM.items())
def test_their_type_hashes_are_those_of_upstream(name, digest):
    package, _, kind = name.split('/')
    module = Path(import_module(package).__file__)
    share = next(p / 'share' for p in module.parents if (p / 'share' / package).is_dir())
    described = json.loads((share / package / 'msg' / f'{kind}.json').read_text())
    generated = {entry['type_name']: entry['hash_string'] for entry in described['type_hashes']}
    assert generated[name] == digest
    # As the recorder writes it into a bag.
    assert define(name).digest == digest


def test_a_place_for_every_unit_by_code():
    from hri_msgs.msg import FacialActionUnits

    message = FacialActionUnits()
    assert len(message.intensity) == len(message.confidence) == 99
    assert (FacialActionUnits.LIP_CORNER_PULLER, FacialActionUnits.BLINK) == (12, 45)
