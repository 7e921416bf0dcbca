"""The table and the page of a fleet."""

from pathlib import Path

import pytest
from command_line import invoke
from fleet_recordings import write_recording

from microexpr_ros.cli.analyze import app
from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import CODES
from microexpr_ros.fleet import summary
from microexpr_ros.fleet.fleet import FleetStatus


def row(name, minutes, smiles_per_min):
    rates = {f'AU{code:02d}_per_min': 0.0 for code in CODES}
    return {
        'recording': name,
        'seconds': 60.0 * minutes,
        'minutes_with_face': minutes,
        'ok_share': 0.5,
        'head_moving_share': 0.25,
        'micro_expressions': 1,
        'blinks': 2,
        'left_out': 3,
        'left_out_by_reason': '{"events_late": 3}',
        'damaged_places': 0,
        **rates,
        'AU12_per_min': smiles_per_min,
    }


def test_rates_are_means_over_minutes_with_a_face():
    rows = [row('<one>', 1.0, 4.0), row('two', 3.0, 0.0), row('none', 0.0, None)]
    page = summary.render_page(rows, FleetStatus(4, 3, {'bad.raw': 'it is <damaged>'}))
    assert '<td>1.00</td>' in page
    assert '&lt;one&gt;' in page
    assert 'it is &lt;damaged&gt;' in page
    assert '<td>events_late</td><td>9</td>' in page


def test_a_fleet_is_summed_up_and_its_status_printed(tmp_path):
    parquet = pytest.importorskip('pyarrow.parquet', reason='requirements/parquet.txt')
    pytest.importorskip('fsspec', reason='requirements/fleet.txt')
    for number in range(2):
        write_recording(tmp_path / f'{number}.npy', number)
    (tmp_path / '2.npy').write_text('nothing')
    options = ('--sensor', '64x48', '--time-unit', 'us', '--region', '0,0,48,48')
    out = tmp_path / 'out'
    result = invoke(app, f'{tmp_path}/*.npy', '--out', out, *options)
    assert result.exit_code == 2
    assert '2 of 3 recordings done, 1 failed, 0 to come' in result.stdout
    rows = parquet.read_table(out / 'summary.parquet').to_pylist()
    assert [Path(one['recording']).name for one in rows] == ['0.npy', '1.npy']
    assert [one['events'] for one in rows] == [1000, 1000]
    assert '2.npy' in (out / 'summary.html').read_text()
    status = invoke(app, '--status', out)
    assert status.stdout == result.stdout


def test_a_fleet_of_failures_alone_has_a_page_with_their_reasons(tmp_path):
    pytest.importorskip('pyarrow', reason='requirements/parquet.txt')
    pytest.importorskip('fsspec', reason='requirements/fleet.txt')
    write_recording(tmp_path / '0.npy')
    options = ('--out', tmp_path / 'out', '--sensor', '64x48', '--workers', 1)
    assert invoke(app, tmp_path / '0.npy', *options, '--time-unit', 'us').exit_code == 0
    (tmp_path / '0.npy').write_text('nothing')
    assert invoke(app, tmp_path / '0.npy', *options, '--time-unit', 'us').exit_code == 2
    page = (tmp_path / 'out' / 'summary.html').read_text()
    assert '0 of 1 recordings, 1 failed' in page
    assert 'damaged or not a .npy file' in page


def test_a_fleet_goes_to_no_scheduler_without_encryption_nor_writes_videos(tmp_path):
    pytest.importorskip('distributed', reason='requirements/fleet.txt')
    pytest.importorskip('pyarrow', reason='requirements/parquet.txt')
    write_recording(tmp_path / '0.npy')
    arguments = (tmp_path / '0.npy', '--out', tmp_path / 'out', '--scheduler', 'tcp://head:8786')
    with pytest.raises(MicroexprError, match='without encryption'):
        invoke(app, *arguments)
    with pytest.raises(MicroexprError, match='leave out --video'):
        invoke(app, *arguments, '--video')
    with pytest.raises(MicroexprError, match='give recordings and --out'):
        invoke(app, '--out', tmp_path / 'out')
