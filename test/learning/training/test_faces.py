from dataclasses import replace

import numpy as np
import pytest
import torch
from face_takes import make_take

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.training.faces import FaceTraining, landmark_loss, train_faces
from microexpr_ros.perception import weights
from microexpr_ros.perception.export import write_face_exports
from microexpr_ros.perception.faces import EventFaceTracker, FaceInference
from microexpr_ros.perception.faces.configuration import FaceConfiguration
from microexpr_ros.perception.faces.network import FaceNetworks
from microexpr_ros.perception.settings import to_settings

SMALL = FaceConfiguration((4, 4, 4), (4, 4, 4, 4), 8)


def test_the_loss_is_least_where_sigma_is_the_error():
    landmarks = torch.zeros(200, 5, 2)
    b = 0.1
    radius = torch.distributions.Gamma(2.0, 1 / b).sample((200, 5))
    angle = 2 * torch.pi * torch.rand(200, 5)
    refined = torch.zeros(200, 16)
    off = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=2)
    refined[:, :10] = off.reshape(200, 10)

    def loss(sigma):
        refined[:, 10:15] = float(np.log(sigma))
        return float(landmark_loss(refined, landmarks))

    right = 3**0.5 * b
    assert loss(right) < min(loss(0.6 * right), loss(1.6 * right))


def test_networks_are_trained_kept_exported_and_run(tmp_path):
    takes = [make_take(80), make_take(80, faces=2)]
    short = FaceTraining(epochs=2, batch=2, moments=3, crops=2)
    trained = train_faces(takes, takes, short, SMALL)
    path = tmp_path / 'face.safetensors'
    values = {'configuration': to_settings(SMALL)}
    weights.save(path, 'face', 'face-tracker', values, trained.network.state_dict())
    assert [export.name for export in write_face_exports(path)] == [
        'face.detector.onnx',
        'face.refiner.onnx',
    ]
    inference = FaceInference.load(path)
    tracker = EventFaceTracker(240, 320, inference)
    assert tracker.model == weights.load(path, 'face').model
    for number in range(80):
        tracker.update(takes[0].dense(number), 0.01)
    crop = torch.rand(1, 6, SMALL.crop, SMALL.crop)
    with torch.inference_mode():
        expected = trained.network.refiner(crop)
    (found,) = inference._refiner(crop.numpy())
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_start_of_another_shape_is_refused():
    takes = [make_take(80)]
    other = FaceNetworks(replace(SMALL, blocks=(1, 1, 0))).state_dict()
    with pytest.raises(MicroexprError, match='another shape'):
        train_faces(takes, takes, FaceTraining(epochs=1), SMALL, start=other)
