"""config/pipeline.yaml repeats the defaults of the nodes."""

import dataclasses
import importlib
import json
import re
from pathlib import Path

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from microexpr_ros.msg import ActionUnitArray, AlignedEvents, MicroExpression

from microexpr_ros import facs
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.images import COMPRESSED
from microexpr_ros.ros.nodes.pipeline import NODES, PipelineNode

FILE = Path(__file__).resolve().parents[2] / 'config' / 'pipeline.yaml'


def load():
    return yaml.safe_load(FILE.read_text())['/**']


def parameters_of(name):
    if name == 'pipeline':
        return PipelineNode.Parameters
    module = importlib.import_module(f'microexpr_ros.ros.nodes.{name}')
    return getattr(module, NODES[name]).Parameters


@pytest.mark.parametrize('name', load())
def test_the_file_repeats_the_defaults(name):
    fields = {field.name: field for field in dataclasses.fields(parameters_of(name))}
    for key, value in load()[name]['ros__parameters'].items():
        assert key in fields, f'{name} has no parameter {key}'
        default = fields[key].default
        assert (tuple(value) if isinstance(value, list) else value) == default


@pytest.mark.parametrize('name', [*NODES, 'pipeline'])
def test_every_parameter_says_what_it_means(name):
    for field in dataclasses.fields(parameters_of(name)):
        assert len(field.metadata['description']) > 10


TYPES = {
    topics.ACTION_UNITS: ActionUnitArray,
    topics.ALIGNED_EVENTS: AlignedEvents,
    topics.MICRO_EXPRESSIONS: MicroExpression,
    topics.DIAGNOSTICS.strip('/'): DiagnosticArray,
}
IMAGES = {topics.OVERLAY: qos.FRAMES, topics.RECONSTRUCTION: qos.RESULTS}


def strings(value):
    """Return every text in a JSON value."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in strings(part)]


def assert_path_exists(path):
    """Check that a message path leads to a field of one of our messages, and to a known unit."""
    topic, *names = re.sub(r'\[:\]|\{.*?\}', '', path).strip('/').split('.')
    kind = TYPES[topic]
    for name in names:
        field = kind.get_fields_and_field_types()[name]
        element = re.sub(r'sequence<(.*)>', r'\1', field)
        kind = getattr(importlib.import_module('microexpr_ros.msg'), element.split('/')[-1], None)
    for code in re.findall(r'code==(\d+)', path):
        assert int(code) in facs.CODES


def test_the_layout_for_foxglove_shows_what_is_published():
    layout = json.loads((FILE.parent / 'foxglove_layout.json').read_text())
    panels = layout['configById']
    shown = strings(layout['layout'])
    assert set(panels) == {text for text in shown if '!' in text}
    found = [text for text in strings(panels) if text.startswith('/')]
    images = {text for text in found if text.endswith(COMPRESSED)}
    assert images == {f'/{topic}{COMPRESSED}' for topic in IMAGES}
    paths = set(found) - images
    assert len(paths) > 10
    for path in paths:
        assert_path_exists(path)
    # Each of the two programs reads the title under a name of its own.
    for panel in panels.values():
        assert panel['foxglovePanelTitle'] == panel['lichtblickPanelTitle']


TITLES = {'foxglovePanelTitle', 'lichtblickPanelTitle'}
PATH_SETTINGS = {'value', 'label', 'enabled', 'timestampMethod'}
PANEL_SETTINGS = {
    'Image': {'imageMode'},
    'Plot': {
        *('paths', 'followingViewWidth', 'minYValue', 'isSynced', 'xAxisVal'),
        *('showLegend', 'legendDisplay', 'showXAxisLabels', 'showYAxisLabels'),
    },
    'StateTransitions': {'paths', 'isSynced'},
    'RawMessages': {
        *('topicPath', 'expansion', 'diffEnabled', 'diffMethod', 'diffTopicPath'),
        'showFullMessageForDiff',
    },
    'DiagnosticSummary': {
        *('minLevel', 'pinnedIds', 'hardwareIdFilter', 'topicToRender', 'sortByLevel'),
    },
}
"""Settings that the layout uses, of those in the types of Lichtblick's panels (`PlotConfig`,
`StateTransitionConfig`, `RawMessagesPanelConfig`, `DiagnosticSummaryConfig`, and `imageMode` of
`ImageModeConfig`). A setting of another name is ignored without a word."""


def check_split(node):
    """Check one node of the tree of panels."""
    if isinstance(node, str):
        return
    assert set(node) == {'direction', 'splitPercentage', 'first', 'second'}
    assert node['direction'] in ('row', 'column')
    assert 0 < node['splitPercentage'] < 100
    check_split(node['first'])
    check_split(node['second'])


def test_the_layout_uses_settings_that_its_panels_have():
    layout = json.loads((FILE.parent / 'foxglove_layout.json').read_text())
    assert set(layout) == {
        'configById',
        'globalVariables',
        'userNodes',
        'playbackConfig',
        'layout',
    }
    check_split(layout['layout'])
    for name, panel in layout['configById'].items():
        kind, _, number = name.partition('!')
        assert number
        assert set(panel) - TITLES <= PANEL_SETTINGS[kind]
        for path in panel.get('paths', ()):
            assert set(path) <= PATH_SETTINGS
            assert path['timestampMethod'] == 'headerStamp'
        if kind == 'Image':
            assert set(panel['imageMode']) == {'imageTopic'}
        if kind == 'Plot':
            assert (panel['xAxisVal'], panel['legendDisplay']) == ('timestamp', 'floating')


def test_the_documented_message_paths_exist():
    page = (FILE.parents[1] / 'docs' / 'view.md').read_text()
    table = page.split('| message path |')[1]
    paths = [path for path in re.findall(r'`(/[^`]+)`', table) if COMPRESSED not in path]
    assert len(paths) > 6
    for path in paths:
        assert_path_exists(path)


def test_rviz_shows_images_that_are_published():
    config = yaml.safe_load((FILE.parent / 'pipeline.rviz').read_text())
    displays = config['Visualization Manager']['Displays']
    assert {display['Topic']['Value'] for display in displays} == set(IMAGES)
    for display in displays:
        assert display['Class'] == 'rviz_default_plugins/Image'
        topic = display['Topic']
        # Names and values of RViz's own properties.
        assert set(topic) == {
            *('Value', 'Depth'),
            *(f'{policy} Policy' for policy in ('History', 'Reliability', 'Durability')),
        }
        assert topic['History Policy'] == 'Keep Last'
        # A reliable subscription gets nothing from a publisher that is not.
        profile = IMAGES[topic['Value']]
        assert topic['Reliability Policy'] == profile.reliability.name.replace('_', ' ').title()
        assert topic['Durability Policy'] == 'Volatile'
    # Each has its place in the window, by its name in UTF-16.
    state = bytes.fromhex(config['Window Geometry']['QMainWindow State'])
    for display in displays:
        assert display['Name'].encode('utf-16-be') in state
