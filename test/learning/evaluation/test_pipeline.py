"""Scores of the chain: by hand, and by the command on stories that are made by hand."""

import json
import math
from dataclasses import asdict, replace
from itertools import islice

import numpy as np
import pytest
from command_line import invoke
from counting_network import counting_classifier
from face_bags import write_face_bag
from fake_clips import fake_metadata

from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.alignment.frame_alignment import SyncSource
from microexpr_ros.alignment.slices import Slice
from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.analysis.chain import AnalyzedSlice, TimedMovement, read_faces
from microexpr_ros.cli.evaluate import app
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.facs import CODES, ExpressionKind
from microexpr_ros.landmarks import PLACES
from microexpr_ros.learning.evaluation import stories
from microexpr_ros.learning.evaluation.pipeline import (
    evaluate_pipeline,
    format_pipeline,
    is_false_alarm,
    measure_face,
    measure_story,
    summarize_pictures,
)
from microexpr_ros.learning.evaluation.stories import (
    Story,
    find_stories,
    read_story,
    true_region,
    true_slices,
)
from microexpr_ros.learning.evaluation.story_pictures import (
    COPY,
    FRAME,
    METHODS,
    PictureSums,
)
from microexpr_ros.perception.classifier import ActionUnitClassifier, ActionUnitEstimate, Status
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.perception.spotting import MicroExpression
from microexpr_ros.synthesis.dataset.bags import RecordingMetadata
from microexpr_ros.synthesis.dataset.checksums import write_checksums
from microexpr_ros.synthesis.dataset.recipe import Recipe
from microexpr_ros.synthesis.world.labels import Movement

MS = 1_000_000
SIDE = 200
FACE = Region(100, 50, SIDE, SIDE)
SMILE = Movement((12,), 1300 * MS, 1500 * MS, 1700 * MS, 0.5, ExpressionKind.EXPRESSION, 12)
BLINK = Movement((45,), 2000 * MS, 2100 * MS, 2300 * MS, 1.0, ExpressionKind.BLINK, 45)


def make_story(slices=300, movements=(SMILE, BLINK)):
    """Return a story whose face is at FACE and whose units are at 0.5 while they move."""
    rows = 10 * slices + 1
    intensity = np.zeros((rows, len(CODES)), np.float32)
    for movement in movements:
        for code in movement.codes:
            span = slice(movement.onset_ns // MS, movement.offset_ns // MS + 1)
            intensity[span, CODES.index(code)] = 0.5
    five = (PLACES * SIDE + (FACE.x, FACE.y)).astype(np.float32)
    points = np.full((rows, 68, 2), (FACE.x + SIDE / 2, FACE.y + SIDE / 2), np.float32)
    points[:, 8] = (FACE.x + SIDE / 2, FACE.y + 0.9 * SIDE)
    return Story(None, 1, intensity, points, np.repeat(five[None], rows, 0), movements)


def analyzed(story, region=FACE, found=(), moved=lambda row: row, landmarks=None):
    """Return what a chain finds that estimates the truth, and some movements at the end."""
    read = []
    for number in range(1, len(story.intensity) // 10 + 1):
        end_ns = 10 * number * MS
        slice_ = Slice(end_ns, 10 * MS, region, np.zeros((2, 128, 128), np.uint8), 0)
        values = moved(story.intensity[story.row(end_ns)])
        sides = np.repeat(values[:, None], 2, axis=1)
        estimate = ActionUnitEstimate(end_ns, Status.OK, sides, values, values >= 0.05)
        aligned = AlignedSlice(slice_, 0, SyncSource.NONE, 0.0, 0, landmarks)
        read.append(AnalyzedSlice(aligned, estimate, ()))
    timed = tuple(TimedMovement(0, one, 0, 0, 0) for one in found)
    return [*read[:-1], AnalyzedSlice(read[-1].aligned, read[-1].estimate, timed)]


def detection(onset_ms, offset_ms, *codes, kind=ExpressionKind.EXPRESSION):
    times = onset_ms * MS, onset_ms * MS, offset_ms * MS
    return MicroExpression(codes, *times, 0.5, 1.0, kind)


def test_a_region_at_the_true_face_is_right():
    story = make_story()
    outcome = measure_face(story, analyzed(story), 'box')
    # The first second does not count.
    assert (outcome.slices, outcome.located, outcome.inside) == (200, 200, 200)
    assert outcome.iou / 200 == pytest.approx(1, abs=1e-3)
    assert outcome.place_error / 200 == pytest.approx(0, abs=1e-3)


def test_a_region_that_is_off_by_half_an_eye_distance_has_that_error():
    story = make_story()
    off = round(0.312 * SIDE / 2)
    region = Region(FACE.x + off, FACE.y, SIDE, SIDE)
    outcome = measure_face(story, analyzed(story, region), 'box')
    assert outcome.place_error / 200 == pytest.approx(0.5, abs=0.01)
    assert outcome.iou / 200 == pytest.approx((SIDE - off) / (SIDE + off), abs=0.01)
    assert outcome.inside == 200
    cut = Region(FACE.x, FACE.y, SIDE, round(0.85 * SIDE))
    assert measure_face(story, analyzed(story, cut), 'box').inside == 0
    aligned = AlignedRegion(FACE.x + SIDE / 2, FACE.y + SIDE / 2, SIDE, 0.0)
    assert measure_face(story, analyzed(story, aligned), 'aligned').inside == 200


def test_the_tracker_s_landmarks_are_compared_with_the_true_ones_of_any_face():
    story = make_story()
    # A longer face than the mean one: the region has its mouth elsewhere.
    story.landmarks[:, 3:, 1] += np.float32(0.05 * SIDE)
    found = story.landmarks[0] + np.float32([0.1 * 0.312 * SIDE, 0])
    outcome = measure_face(story, analyzed(story, None, landmarks=found), 'box')
    assert (outcome.located, outcome.known) == (0, 200)
    eyes_px = 0.312 * stories.true_region(story.landmarks[0], 'box').side
    error = 0.1 * 0.312 * SIDE / eyes_px
    assert outcome.landmark_error / 200 == pytest.approx(error, rel=1e-3)
    assert outcome.reachable_place_error / 200 > 0.02
    true = stories.true_region(story.landmarks[0], 'box')
    outcome = measure_face(story, analyzed(story, true), 'box')
    assert (outcome.located, outcome.known) == (200, 0)
    assert outcome.place_error == pytest.approx(outcome.reachable_place_error)


def test_without_a_region_the_face_is_outside():
    story = make_story()
    outcome = measure_face(story, analyzed(story, None), 'box')
    assert (outcome.slices, outcome.located, outcome.inside, outcome.iou) == (200, 0, 0, 0)
    assert outcome.reachable == 200


def test_a_chin_beyond_the_true_region_is_out_of_reach():
    story = make_story()
    story.points[1500:, 8, 1] += 0.2 * SIDE
    tall = Region(FACE.x, FACE.y, SIDE, 2 * SIDE)
    outcome = measure_face(story, analyzed(story, tall), 'box')
    # Only the true region ends above the chin, from the second half of a second on.
    assert (outcome.inside, outcome.reachable) == (200, 50)


def test_what_was_found_is_compared_with_what_moved():
    story, presence = make_story(), Presence.uncalibrated(0.3)
    found = [
        detection(1300, 1700, 12),
        detection(2000, 2300, 45, kind=ExpressionKind.BLINK),
        detection(2500, 2700, 4),
    ]
    outcome = measure_story(story, analyzed(story, found=found), presence)
    # The blink is neither right nor wrong; nothing moves at 2.5 s.
    assert (outcome.spotted, outcome.named, outcome.alarms) == ((1, 1, 0), (1, 1), 1)
    assert outcome.minutes == pytest.approx(3 / 60)
    right, wrong, missed, _ = outcome.units
    assert (right.sum(), wrong.sum(), missed.sum()) == (right[[8, 17]].sum(), 0, 0)
    silent = measure_story(story, analyzed(story, moved=np.zeros_like), presence)
    assert (silent.spotted, silent.named, silent.alarms) == ((0, 0, 1), (0, 1), 0)


def test_evidence_names_an_expression_by_its_own_limits():
    story, names = make_story(), np.full(len(CODES), 0.05, np.float32)
    names[CODES.index(12)] = 0.6
    read = [
        replace(one, estimate=replace(one.estimate, evidence=names)) for one in analyzed(story)
    ]
    ones = np.ones(len(CODES), np.float32)
    # Intensities, 0.5 at most, never reach the limits of evidence.
    decided = replace(Presence.uncalibrated(0.3), decision=0.55 * ones)
    assert measure_story(story, read, decided).named == (1, 1)
    unsure = replace(decided, decision=0.65 * ones)
    assert measure_story(story, read, unsure).named == (0, 1)


def test_a_false_alarm_is_one_whose_units_do_not_move():
    story = make_story()
    assert not is_false_alarm(story, detection(1600, 1900, 12))
    assert is_false_alarm(story, detection(1800, 1900, 12))
    assert is_false_alarm(story, detection(1300, 1700, 4))


def test_the_true_region_is_upright_or_turned_with_the_face():
    roll = 0.2
    turn = np.array([[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]])
    five = ((PLACES - 0.5) * SIDE @ turn + 300).astype(np.float32)
    turned, upright = true_region(five, 'aligned'), true_region(five, 'box')
    assert turned.roll == pytest.approx(roll, abs=1e-5)
    assert (upright.roll, upright.side) == (0, pytest.approx(SIDE, rel=1e-4))
    assert align(five).x == pytest.approx(upright.x)


def write_story(folder, seconds=2.6):
    """Write a story whose face and units rest, but for a smile."""
    write_face_bag(folder / 'bag', seconds)
    story = make_story(round(seconds * 100), (SMILE,))
    metadata = RecordingMetadata(
        **asdict(fake_metadata(Recipe('val'), 0)),
        split='val',
        duration_ns=round(seconds * 1e9),
        events=1,
    )
    unit = {
        'code': 12,
        'onset_ns': 1300 * MS,
        'apex_ns': 1500 * MS,
        'release_ns': 1500 * MS,
        'offset_ns': 1700 * MS,
        'amplitude': 0.5,
        'left': 1.0,
        'right': 1.0,
    }
    np.savez_compressed(
        folder / 'labels.npz',
        intensity=np.repeat(story.intensity[..., None], 2, axis=2),
        landmarks=story.points,
        face_landmarks=story.landmarks + np.float32([152, -17]),
        metadata=np.frombuffer(json.dumps(metadata.to_json()).encode(), np.uint8),
        **{f'unit_{name}': np.array([value]) for name, value in unit.items()},
    )


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(ActionUnitClassifier, 'load', lambda path=None: counting_classifier())
    folder = tmp_path / 'val' / 'stories'
    write_story(folder / 'story-000000')
    names = [str(p.relative_to(folder)) for p in sorted(folder.rglob('*')) if p.is_file()]
    write_checksums(folder, names)
    return tmp_path


def test_the_slices_of_a_true_face_rest_until_it_moves(data):
    [folder] = find_stories(data, 'val')
    story = read_story(folder)
    assert [one.dominant for one in story.movements] == [12]
    slices = list(true_slices(open_recording(story.bag), story, 'box'))
    assert len(slices) >= 258
    regions = {aligned.slice.region for aligned in slices}
    assert len(regions) == 1
    assert all(aligned.slice.events > 0 for aligned in slices[:250])
    assert [aligned.slice.sensor_end_ns for aligned in slices[:3]] == [10 * MS, 20 * MS, 30 * MS]
    story.landmarks[1000:] += 0.05 * SIDE
    story.landmarks[2000:] += 0.1 * SIDE
    moved = [a.slice.region for a in true_slices(open_recording(story.bag), story, 'aligned')]
    assert moved[150] == moved[0]
    assert moved[250].x > moved[0].x


@pytest.mark.parametrize('kind', ['box', 'aligned'])
def test_the_shipped_network_reads_the_slices_of_a_true_face(data, kind, monkeypatch):
    """It refuses rectangles, as it was trained on aligned regions."""
    monkeypatch.undo()
    story = read_story(find_stories(data, 'val')[0])
    slices = true_slices(open_recording(story.bag), story, kind)
    read = list(read_faces(islice(slices, 30), ActionUnitClassifier.load()))
    assert {one.estimate.status for one in read} >= {Status.WARMING_UP}
    assert len(read) == 30


def test_the_command_reports_the_chain_beside_the_true_faces(data):
    out = data / 'report.json'
    options = ('pipeline', '--data', data, '--split', 'val')
    found = json.loads(invoke(app, *options, '--out', out, '--json').stdout)
    assert json.loads(out.read_text()) == found
    assert (found['stories'], found['persons'], found['expressions']) == (1, 1, 1)
    assert found['true_region'] == 'box'
    for name in ('chain', 'true_faces'):
        assert 0 <= found[name]['uf1']['value'] <= 1
        # One person says nothing of others.
        assert found[name]['uf1']['ci95'] == [None, None]
    assert found['face']['iou']['value'] > 0
    # This story has no frames to compare pictures with.
    assert list(found['pictures']) == list(METHODS)
    assert found['pictures'][FRAME]['psnr']['value'] is None
    assert found['painter'] == Reconstructor.load().model
    text = invoke(app, *options, '--truth', 'aligned').stdout
    assert '| chain | true faces (aligned) |' in text
    assert '| copy of the frame | not measured | not measured | not measured |' in text
    with pytest.raises(MicroexprError, match='no story has frames'):
        invoke(app, *options, '--sheet', data / 'sheet.png')
    with pytest.raises(MicroexprError, match='choose box, aligned'):
        invoke(app, *options, '--truth', 'square')


def test_pictures_of_stories_are_averaged_over_pictures(data):
    report = pipeline_report(data)
    one, other = PictureSums(10, 200.0, 8.0, 4, 100.0), PictureSums(30, 900.0, 27.0, 0, 0.0)
    none = PictureSums(0, 0.0, 0.0, 0, 0.0)
    found = summarize_pictures(
        np.array([1, 2]),
        [dict.fromkeys(METHODS, one), {**dict.fromkeys(METHODS, none), FRAME: other}],
    )
    scores = found[FRAME]
    values = [scores.psnr.value, scores.ssim.value, scores.psnr_changed.value]
    assert values == [27.5, 0.875, 25.0]
    assert found[COPY].psnr.value == 20.0
    rows = format_pipeline(replace(report, pictures=found)).splitlines()
    assert any(row.startswith('| frame | 27.5 (') and '| 0.875 (' in row for row in rows)


def pipeline_report(data):
    classifier, reconstructor = ActionUnitClassifier.load(), Reconstructor.load()
    return evaluate_pipeline(find_stories(data, 'val'), classifier, reconstructor, 'val')


def test_stories_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(MicroexprError, match='synth --story'):
        stories.find_stories(tmp_path, 'val')
