"""What the README says of accuracy is what the reports beside the shipped weights say."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ' '.join((ROOT / 'README.md').read_text().split())


def read(kind):
    path = ROOT / 'microexpr_ros' / 'perception' / 'weights' / f'{kind}.report.json'
    return json.loads(path.read_text())


def percent(share):
    return f'{100 * share:.1f}'


def test_accuracy_on_clips():
    report, analog = read('au'), read('au-analog')
    low, high = report['ci95']['clip_accuracy']
    commonest = report['methods']['majority']['clip_accuracy']
    assert (
        f'**{percent(report["clip_accuracy"])} %** ({percent(low)} to {percent(high)}), the '
        f'same layers without spikes in {percent(analog["clip_accuracy"])} %, MediaPipe on '
        f'the frames in {percent(report["clip_accuracy_mediapipe"])} %, the commonest label in '
        f'{percent(commonest)} %'
    ) in README


def test_the_whole_chain():
    report = read('pipeline')
    low, high = (100 * bound for bound in report['chain']['dominant_accuracy']['ci95'])
    share = report['chain']['dominant_accuracy']['value']
    assert (
        f'**{share:.0%} of {report["expressions"]} expressions are named** (95 % interval '
        f'{low:.0f} to {high:.0f};'
    ).replace('%', ' %', 1) in README
    error = percent(report['face']['landmark_error']['value'])
    assert f'landmarks off by {error} % of the distance between the eyes' in README


def test_false_alarms():
    spiking, analog = (read(kind)['false_alarms_per_min'] for kind in ('au', 'au-analog'))
    assert (
        f'only blinks the network sees {spiking["blinking"]:.0f} movements that are none, of one '
        f'that only moves its head {spiking["head"]:.0f} (`au-analog.safetensors`: '
        f'{analog["blinking"]:.0f} and {analog["head"]:.0f})'
    ) in README


def test_faces_where_nobody_is():
    assert ('no face was found' in README) == (read('face')['nobody']['wrong_per_minute'] == 0)
