"""Tables of messages and parameters in docs/ are those of msg/ and of the nodes."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
REMEDY = 'out of date: run .venv/bin/python tools/interface_tables.py'


@pytest.fixture(scope='module')
def tool():
    path = ROOT / 'tools' / 'interface_tables.py'
    spec = importlib.util.spec_from_file_location('interface_tables', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_message_tables_are_up_to_date(tool):
    assert tool.MESSAGES.read_text() == tool.messages_page(), REMEDY


def test_parameter_tables_are_up_to_date(tool):
    pytest.importorskip('rclpy')
    pytest.importorskip('microexpr_ros.msg')
    assert tool.NODES.read_text() == tool.nodes_page(), REMEDY


def test_a_message_becomes_tables(tool):
    definition = '# A thing.\n\nuint8 GOOD=1  # it works\n\nfloat32[] length_m  # in metres\n'
    assert tool.message_tables(definition) == (
        '| constant | value | meaning |\n|---|---|---|\n| `GOOD` | 1 | it works |\n\n'
        '| field | type | meaning |\n|---|---|---|\n| `length_m` | `float32[]` | in metres |\n'
    )


def test_a_field_without_a_comment_is_refused(tool):
    with pytest.raises(ValueError, match='uint8 code'):
        tool.message_tables('uint8 code\n')


def test_a_page_without_a_place_for_a_table_is_refused(tool):
    with pytest.raises(ValueError, match='B'):
        tool.fill('<!-- table: A -->\n<!-- end of table -->', {'A': 'a', 'B': 'b'})


def test_limits_in_the_docs_are_those_of_the_shipped_weights():
    from safetensors import safe_open

    path = ROOT / 'microexpr_ros' / 'perception' / 'weights' / 'au.safetensors'
    with safe_open(path, 'numpy') as file:
        settings = json.loads(file.metadata()['microexpr_ros'])['settings']['presence']
    threshold, peak, slope, bias = (
        np.array(settings[name]) for name in ('threshold', 'peak', 'slope', 'bias')
    )
    even = 1 / (1 + np.exp(bias / slope))  # intensity whose probability is one half
    text = re.sub(r'\s+', ' ', (ROOT / 'docs' / 'messages.md').read_text())
    assert f'between {threshold.min():.3f} and {threshold.max():.3f}' in text
    assert f'({peak.min():.3f} to {peak.max():.3f} in the shipped weights)' in text
    assert f'({even.min():.2f} to {even.max():.2f}, by unit)' in text
