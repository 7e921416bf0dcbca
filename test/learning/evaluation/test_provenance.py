"""A report says which command made it, of which data."""

import json
from pathlib import Path

import pytest

from microexpr_ros.learning.evaluation import describe_provenance
from microexpr_ros.synthesis.dataset.card import LIMITS
from microexpr_ros.synthesis.dataset.index import INDEX, VERSION

WEIGHTS = Path(__file__).resolve().parents[3] / 'microexpr_ros' / 'perception' / 'weights'


def test_recipes_of_the_parts_that_exist_are_told(tmp_path):
    (tmp_path / 'test' / 'stories').mkdir(parents=True)
    clips, stories = {'seed': 1, 'generator': '0.5'}, {'seed': 2}
    content = {'version': VERSION, 'complete': True, 'recipe': clips, 'clips': []}
    (tmp_path / 'test' / INDEX).write_text(json.dumps(content))
    (tmp_path / 'test' / 'stories' / 'recipe.json').write_text(json.dumps(stories))
    arguments = ['evaluate', 'au', '--data', 'my data']
    parts = ('test', 'calm', 'test/stories')
    assert describe_provenance(arguments, tmp_path, parts, ['Short clips.']) == {
        'command': "microexpr evaluate au --data 'my data'",
        'data': {'test': clips, 'test/stories': stories},
        'limits': [LIMITS, 'Short clips.'],
    }


@pytest.mark.parametrize('path', sorted(WEIGHTS.glob('*.report.json')), ids=lambda p: p.name)
def test_reports_beside_the_weights_say_where_they_come_from(path):
    provenance = json.loads(path.read_text())['provenance']
    assert provenance['command'].startswith('microexpr evaluate ')
    assert ' /' not in provenance['command'], 'paths of a machine'
    assert provenance['limits'][0] == LIMITS
    for recipe in provenance['data'].values():
        assert {'seed', 'split', 'generator'} <= set(recipe)
