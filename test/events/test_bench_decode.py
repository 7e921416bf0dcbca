from __future__ import annotations

import json

import typer
from typer.testing import CliRunner

from microexpr_ros.cli.bench.decode import decode
from microexpr_ros.events import codecs


def test_every_codec_is_measured_and_exact():
    app = typer.Typer()
    app.command()(decode)
    options = ['--json', '--events', '1600', '--rounds', '1']
    result = CliRunner().invoke(app, options, env={'MICROEXPR_TEST_DATA': ''})
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    rows = [row for row in report['rows'] if row['implementation'] == 'microexpr_ros']
    measured = {row['codec'] for row in rows}
    events = [name for name in codecs.ENCODINGS if name != 'trigger']
    assert measured == {'histogram', *events, *(f'{name} encode' for name in events)}
    assert all(row['agrees'] and row['mev_per_s'] > 0 for row in rows)
    assert report['machine']['cores'] >= 1
