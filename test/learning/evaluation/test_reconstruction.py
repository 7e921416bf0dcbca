import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from microexpr_ros.learning.data.clips import make_sparse
from microexpr_ros.learning.evaluation import json_values
from microexpr_ros.learning.evaluation.reconstruction import (
    evaluate_reconstruction,
    score_pictures,
)
from microexpr_ros.learning.models.baselines import mean_face
from microexpr_ros.learning.report import format_reconstruction
from microexpr_ros.learning.training.reconstruction import (
    ReconstructionExample,
    changed_since,
    fit_thresholds,
)
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.integration import to_log, to_picture
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor


def brighten(make_clip, threshold=0.3):
    """Return a clip whose square brightens by what its events say, one each 10 ms."""
    clip = make_clip(1, code=4)
    counts = np.zeros_like(clip.counts)
    where = slice(20, 60), slice(20, 60)
    counts[20:, 1][(slice(None), *where)] = 1
    # Four sensor pixels in a cell: a quarter of an event for each.
    change = np.cumsum(counts[:, 1], axis=0) * np.float32(threshold / 4)
    pictures = np.rint(255 * to_picture(to_log(clip.frames[0]) + change.astype(np.float32)))
    pictures = pictures.astype(np.uint8)
    return replace(
        clip,
        counts=counts,
        frames=pictures[clip.frame_slice],
        target=pictures[clip.target_slice],
    )


def test_pictures_are_scored_by_sensor(sparse_clips):
    torch.manual_seed(0)
    network = ConditionalVae(ReconstructionConfiguration(fine=4, width=4, latent=2)).deployed()
    first, *rest = sparse_clips
    other = replace(first, clip=replace(first.clip, sensor='hd'))
    report = evaluate_reconstruction(Reconstructor(network), [other, *rest], mean_face(rest))
    alone = report.events_only
    assert set(alone.by_sensor) == {'vga', 'hd'}
    by = [alone.by_sensor[name]['mean face'].psnr for name in ('hd', 'vga')]
    # Two pictures of each clip.
    share = 2 / alone.n
    assert share * by[0] + (1 - share) * by[1] == pytest.approx(
        alone.methods['mean face'].psnr, abs=1e-3
    )
    assert '| events alone | hd | mean face |' in format_reconstruction(report)


def test_report_has_all_conditions_and_methods(sparse_clips):
    torch.manual_seed(0)
    network = ConditionalVae(ReconstructionConfiguration(fine=4, width=4, latent=2)).deployed()
    mean = mean_face(sparse_clips)
    earlier = np.stack([sparse_clips[0].clip.frames[0]] * 2)
    clips = [replace(sparse_clips[0], references=earlier), *sparse_clips[1:]]
    report = evaluate_reconstruction(Reconstructor(network), clips, mean)
    assert set(report.by_frame_age) == {'0-30', '30-100', '100-300', '300-1000'}
    young = report.by_frame_age['0-30']
    assert set(young.methods) == {
        'network',
        'direct integration',
        'copy of the frame',
        'complementary filter',
    }
    for referred in (report.with_reference, report.with_reference_other_light):
        assert set(referred.methods) == {
            'network',
            'copy of the reference',
            'oracle: copy with the true brightness and contrast',
            'oracle: copy with the true low frequencies',
            'oracle: copy moved by the flow to the truth',
        }
    assert report.with_reference.n == 2
    oracles = report.with_reference_other_light.methods
    assert (
        oracles['oracle: copy with the true brightness and contrast'].psnr
        >= oracles['copy of the reference'].psnr
    )
    assert young.methods['copy of the frame'].psnr > report.events_only.methods['mean face'].psnr
    assert 0 < report.events_only.methods['network'].ssim < 1
    assert np.isnan(report.events_only.methods['network'].psnr_changed)
    values = json_values(report)
    json.dumps(values, allow_nan=False)
    assert values['events_only']['methods']['network']['psnr_changed'] is None
    assert (values['split'], values['n_clips']) == ('test', len(sparse_clips))


def test_what_events_say_is_found_without_a_network(make_clip):
    sparse = make_sparse(brighten(make_clip))
    thresholds = fit_thresholds(sparse, len(sparse.clip.frames) - 1)
    assert thresholds.on == pytest.approx(0.3, abs=0.03)
    network = ConditionalVae(ReconstructionConfiguration(fine=4, width=4, latent=2)).deployed()
    reconstructor = Reconstructor(network)
    report = evaluate_reconstruction(reconstructor, [sparse, sparse], sparse.clip.target[0])
    # The youngest frames show what the nearest target does.
    assert report.by_frame_age.keys() >= {'30-100', '100-300'}
    for condition in list(report.by_frame_age.values())[1:]:
        direct, copied = (
            condition.methods[name].psnr_changed
            for name in ('direct integration', 'copy of the frame')
        )
        assert direct > copied + 6


def test_changed_are_the_pixels_that_differ_from_the_time_of_the_frame(make_clip):
    clip = brighten(make_clip)
    sparse = make_sparse(clip)
    number = len(clip.target) - 1
    assert not changed_since(ReconstructionExample(sparse, number, None)).any()
    before = int(np.searchsorted(clip.frame_slice, 20)) - 1
    changed = changed_since(ReconstructionExample(sparse, number, before))
    assert changed[20:60, 20:60].all()
    assert changed.sum() == 40 * 40


def test_scores_by_hand(make_clip):
    clip = brighten(make_clip)
    sparse = make_sparse(clip)
    number = len(clip.target) - 1
    example = ReconstructionExample(sparse, number, 0)
    truth = clip.target[number] / np.float32(255)
    perfect = score_pictures([example], [truth])
    assert (perfect.psnr, perfect.ssim) == (60, 1)
    assert perfect.correlation == pytest.approx(1)
    darker = (truth - np.float32(10 / 255)).astype(np.float32)
    off = score_pictures([example], [darker])
    # Ten grey levels, but where there are no ten.
    assert off.psnr == pytest.approx(20 * np.log10(25.5), abs=1e-3)
    assert off.psnr_changed == pytest.approx(20 * np.log10(25.5), abs=1e-3)
