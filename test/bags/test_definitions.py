from __future__ import annotations

import pytest

from microexpr_ros.bags.definitions import define, is_as_defined
from microexpr_ros.errors import MicroexprError


def test_installed_types_are_embedded_with_their_parts(tmp_path, monkeypatch):
    folder = tmp_path / 'share' / 'robot_msgs' / 'msg'
    folder.mkdir(parents=True)
    (folder / 'Arm.msg').write_text('Joint[] joints\nstd_msgs/Header header\n')
    (folder / 'Joint.msg').write_text('float64 angle\n')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    found = define('robot_msgs/msg/Arm')
    assert 'MSG: robot_msgs/Joint\nfloat64 angle' in found.text
    with pytest.raises(MicroexprError, match='robot_msgs/msg/Leg is not installed'):
        define('robot_msgs/msg/Leg')


@pytest.mark.parametrize('name', ['ActionUnitArray', 'AlignedEvents', 'MicroExpression'])
def test_a_definition_is_compared_by_its_fields(name):
    kind = f'microexpr_ros/msg/{name}'
    text = define(kind).text
    assert is_as_defined(kind, text)
    assert is_as_defined(kind, f'# a comment\n{text}')
    assert not is_as_defined(kind, text.replace('string face_id\n', '', 1))
    assert not is_as_defined(kind, text.replace('string face_id\n', 'string face\n', 1))
