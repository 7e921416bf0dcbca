"""Arrays, tables and files of an analysis."""

import csv
import json

import cv2
import numpy as np
import pytest
from counting_network import counting_classifier
from face_bags import write_face_bag

from microexpr_ros.analysis import analyze_recording, files, tables
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.files import open_recording
from microexpr_ros.facs import CODES


@pytest.fixture(scope='module')
def analysis(tmp_path_factory):
    path = tmp_path_factory.mktemp('bags') / 'face'
    write_face_bag(path, 3.2)
    return analyze_recording(open_recording(path), counting_classifier())


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_arrays_have_a_row_per_slice(analysis):
    count = len(analysis)
    assert count == 320
    assert analysis.sides.shape == (count, len(CODES), 2)
    assert analysis.intensity.dtype == np.float32
    np.testing.assert_allclose(np.diff(analysis.time_s), 0.01)
    np.testing.assert_array_equal(analysis.face >= 0, ~np.isnan(analysis.region[:, 0]))
    summary = analysis.summarize()
    assert (summary['slices'], summary['faces'], summary['left_out']) == (count, 1, {})
    assert (summary['expressions'], summary['blinks'], summary['speech']) == (1, 1, 3)
    assert sum(summary['status'].values()) == count
    assert summary['face_source'] == 'events'


def test_units_have_the_columns_and_the_scale_of_openface(analysis, tmp_path):
    files.write_analysis(tmp_path, analysis, files.Wanted())
    rows = read_csv(tmp_path / 'action_units.csv')
    assert len(rows) == len(analysis)
    head = ['frame', 'face_id', 'timestamp', 'confidence', 'success']
    assert list(rows[0])[:5] == head
    k = int(analysis.intensity[:, CODES.index(12)].argmax())
    row = rows[k]
    assert float(row['AU12_r']) == pytest.approx(
        5 * analysis.intensity[k, CODES.index(12)], abs=1e-4
    )
    assert row['AU12_c'] == '1'
    assert (row['frame'], row['success'], row['status']) == (str(k + 1), '1', 'OK')
    assert float(row['timestamp']) == pytest.approx((k + 1) / 100)
    assert max(float(row['AU12_left_r']), float(row['AU12_right_r'])) == float(row['AU12_r'])
    assert (rows[0]['success'], rows[0]['face_x'], rows[0]['confidence']) == ('0', '', '0.000')
    movements = read_csv(tmp_path / 'movements.csv')
    assert [one['kind'] for one in movements] == ['EXPRESSION', 'BLINK', *['SPEECH'] * 3]
    assert movements[0]['codes'] == '1+12'
    first = analysis.movements[0]
    assert movements[0]['onset_stamp_ns'] == str(first.onset_stamp_ns)
    assert float(movements[0]['onset']) == pytest.approx(
        analysis.seconds(first.expression.onset_ns), abs=1e-4
    )
    assert cv2.imread(str(tmp_path / 'timeline.png')) is not None
    assert json.loads((tmp_path / 'summary.json').read_text()) == analysis.summarize()


def test_redacted_results_have_no_picture(analysis, tmp_path):
    files.write_analysis(tmp_path, analysis, files.Wanted(timeline=False))
    assert {path.name for path in tmp_path.iterdir()} == {
        'action_units.csv',
        'movements.csv',
        'summary.json',
    }


def test_parquet_holds_the_numbers_of_the_csv(analysis, tmp_path):
    parquet = pytest.importorskip('pyarrow.parquet', reason='pyarrow is an extra')
    files.write_analysis(tmp_path, analysis, files.Wanted(parquet=True, timeline=False))
    for name in ('action_units', 'movements'):
        table = parquet.read_table(tmp_path / f'{name}.parquet').to_pydict()
        rows = read_csv(tmp_path / f'{name}.csv')
        assert list(table) == list(rows[0])
        for column, values in table.items():
            for value, row in zip(values, rows, strict=True):
                if isinstance(value, float) and not np.isnan(value):
                    assert float(row[column]) == pytest.approx(value, abs=6e-4)
                elif not isinstance(value, float):
                    assert row[column] == str(value)


def test_without_pyarrow_parquet_is_refused_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setattr(tables, 'find_spec', lambda name: None)
    with pytest.raises(MicroexprError, match='pip install pyarrow'):
        tables.require_parquet()


def test_results_are_replaced_as_a_whole_and_other_files_stay(tmp_path):
    folder = tmp_path / 'out'
    with files.replaced_results(folder) as hidden:
        (hidden / 'overlay.mp4').write_text('a video')
    (folder / 'notes.txt').write_text('of the user')
    with pytest.raises(MicroexprError, match=r'has overlay\.mp4: .*--overwrite'):
        files.refuse_existing(folder, overwrite=False)
    files.refuse_existing(folder, overwrite=True)
    with pytest.raises(IsADirectoryError), files.replaced_results(folder) as hidden:
        hidden.write_text('not a file')
    assert {path.name for path in folder.iterdir()} == {'overlay.mp4', 'notes.txt'}
    with files.replaced_results(folder) as hidden:
        (hidden / 'summary.json').write_text('new')
    assert {path.name for path in folder.iterdir()} == {'summary.json', 'notes.txt'}
    assert [path.name for path in tmp_path.iterdir()] == ['out']


def test_two_recordings_of_one_name_are_refused(tmp_path):
    paths = [tmp_path / 'a' / 'bag.npz', tmp_path / 'b' / 'bag.npz']
    with pytest.raises(MicroexprError, match='two recordings'):
        files.name_folders(tmp_path / 'out', paths)
