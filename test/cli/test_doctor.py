"""`microexpr doctor`."""

import json

import pytest
from command_line import invoke

from microexpr_ros.cli import doctor


def test_this_environment_is_healthy(microexpr):
    pytest.importorskip('rclpy')
    pytest.importorskip('microexpr_ros.msg')
    result = microexpr('doctor', '--json')
    report = json.loads(result.stdout)
    assert result.returncode == 0, report
    assert report['healthy']
    names = {finding['name'] for finding in report['findings']}
    assert {'rclpy', 'ROS messages', 'torch', 'onnxruntime', 'PyYAML', 'cv_bridge'} <= names


@pytest.mark.parametrize(
    ('needed', 'code', 'mark'), [(True, 1, 'missing'), (False, 0, 'optional')]
)
def test_what_is_missing_is_printed_with_its_remedy(monkeypatch, needed, code, mark):
    checks = (
        ('one', lambda: '1.2', True, 'no ones', 'install one'),
        ('another', lambda: None, needed, 'no others', 'install another'),
    )
    monkeypatch.setattr(doctor, 'CHECKS', checks)
    result = invoke(doctor.app)
    assert result.exit_code == code
    assert result.stdout.splitlines() == [
        ' ok one      1.2',
        '',
        f' {mark} another: no others',
        '    install another',
    ]
