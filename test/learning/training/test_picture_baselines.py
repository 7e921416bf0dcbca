from dataclasses import replace

import numpy as np
import pytest
import torch

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.clips import make_sparse
from microexpr_ros.learning.evaluation.reconstruction import evaluate_reconstruction
from microexpr_ros.learning.models.baselines import mean_face
from microexpr_ros.learning.models.picture_networks import PlainUnet, RecurrentPainter
from microexpr_ros.learning.pipelines import make_reconstruction
from microexpr_ros.learning.training.configuration import ReconstructionRun
from microexpr_ros.learning.training.picture_baselines import (
    PictureBaseline,
    read_picture_baselines,
    window_events,
)
from microexpr_ros.learning.training.reconstruction import (
    ReconstructionExample,
    ReconstructionTraining,
)
from microexpr_ros.perception import weights
from microexpr_ros.perception.reconstruction.configuration import ReconstructionConfiguration
from microexpr_ros.perception.reconstruction.network import ConditionalVae
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.perception.settings import to_settings

TINY = ReconstructionConfiguration(fine=4, width=4, latent=2, global_latent=3)
QUICK = ReconstructionTraining(epochs=1, targets=1, batch=3)


def size(network):
    return sum(part.numel() for part in network.parameters())


def test_baselines_have_about_as_many_parameters():
    ours = size(ConditionalVae(deployed=True))
    assert 0.8 * ours < size(PlainUnet()) <= ours
    assert 0.7 * ours < size(RecurrentPainter()) <= ours


def test_events_of_a_window_by_hand(make_clip):
    clip = make_clip(0, code=0)
    clip.counts[:] = 0
    clip.counts[4, 1, 5, 7] = 3
    clip.counts[7, 0, 5, 7] = 1
    clip.counts[8, 0, 5, 7] = 9
    sparse = make_sparse(clip)
    assert clip.target_slice[1] == 7
    found = window_events(sparse, 1)
    assert found[:, 5, 7].tolist() == [0.75, 0, 0, -0.25]
    assert np.count_nonzero(found) == 2


def test_a_recurrent_network_knows_what_was_long_ago(make_clip):
    torch.manual_seed(0)
    clip = make_clip(1, code=4)
    other = make_clip(1, code=4)
    other.counts[0, 1, 30:60, 30:60] = 5
    examples = [ReconstructionExample(make_sparse(each), 2, None) for each in (clip, other)]
    baseline = PictureBaseline('recurrent', RecurrentPainter().eval(), TINY)
    one, another = baseline.predict(examples)
    assert np.abs(one - another).max() > 1e-4
    # Each window has its own events: the difference came through the state.
    assert not (other.counts[4:12] != clip.counts[4:12]).any()
    # Together or alone, a clip gives the same picture.
    np.testing.assert_array_equal(baseline.predict(examples[1:])[0], another)


def test_baselines_from_clips_to_the_report(sparse_clips, tmp_path):
    few = sparse_clips[:2]
    for model in ('unet', 'recurrent'):
        run = ReconstructionRun(tmp_path, tmp_path, model, training=QUICK, network=TINY)
        result = make_reconstruction(few, few, run)
        assert result['weights'] == str(tmp_path / f'{model}.safetensors')
        assert np.isfinite(result['validation_loss'])
    baselines = read_picture_baselines(tmp_path)
    assert [one.name for one in baselines] == ['plain U-Net', 'recurrent network, events alone']
    reconstructor = Reconstructor(ConditionalVae(TINY).eval().deployed())
    report = evaluate_reconstruction(
        reconstructor, few, mean_face(few), baselines=baselines, targets=1
    )
    for condition in (*report.by_frame_age.values(), report.events_only):
        assert {one.name for one in baselines} < set(condition.methods)


def test_a_baseline_goes_on_from_its_checkpoint_with_further_blocks(sparse_clips, tmp_path):
    few, first, then = sparse_clips[:2], tmp_path / 'first', tmp_path / 'then'
    shallow = replace(TINY, blocks=0)
    run = ReconstructionRun(tmp_path, first, 'unet', training=QUICK, network=shallow)
    make_reconstruction(few, few, run)
    # A rate of nearly nothing: what is started from is what comes out.
    still = replace(QUICK, learning_rate=1e-12)
    run = ReconstructionRun(tmp_path, then, 'unet', first / 'unet.checkpoint', still, TINY)
    make_reconstruction(few, few, run)
    before, after = (read_picture_baselines(folder)[0].network for folder in (first, then))
    assert len(before.whole) == 0
    assert len(after.whole) == TINY.blocks
    parts = dict(after.named_parameters())
    for name, tensor in before.named_parameters():
        torch.testing.assert_close(parts[name], tensor)


def test_baselines_that_are_missing_or_of_another_shape_are_refused(tmp_path):
    with pytest.raises(MicroexprError, match='--model unet'):
        read_picture_baselines(tmp_path)
    values = {'model': 'recurrent', 'configuration': to_settings(TINY)}
    tensors = dict(RecurrentPainter().state_dict())
    del tensors['paint.bias']
    weights.save(
        tmp_path / 'recurrent.safetensors', 'picture_baseline', 'recurrent', values, tensors
    )
    with pytest.raises(MicroexprError, match=r'recurrent\.safetensors .* train it again'):
        read_picture_baselines(tmp_path)


def test_weights_to_start_from_must_be_of_the_same_network(sparse_clips, tmp_path):
    path = weights.shipped('reconstruction')
    run = ReconstructionRun(tmp_path, tmp_path, start=path, network=TINY)
    with pytest.raises(MicroexprError, match=r'differs in fine, width, latent, global_latent:'):
        make_reconstruction(sparse_clips[:2], sparse_clips[:2], run)
