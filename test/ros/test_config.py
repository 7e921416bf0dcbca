"""config/pipeline.yaml repeats the defaults of the nodes."""

import dataclasses
import importlib
from pathlib import Path

import pytest
import yaml

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
