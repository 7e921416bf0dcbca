"""Pixels of images are those of the real cv_bridge."""

import numpy as np
import pytest
from sensor_msgs.msg import Image

from microexpr_ros.ros.conversions import image_to_pixels

try:
    import cv_bridge
except ImportError as error:  # It is absent, or built for another numpy than the one here.
    pytest.skip(f'cv_bridge cannot be imported: {error}', allow_module_level=True)


def test_sixteen_bits_become_eight():
    pixels = np.array([[[0, 65535, 0], [65535, 0, 65535]]], '<u2')
    message = Image(height=1, width=2, encoding='rgb16', step=12, data=pixels.tobytes())
    expected = [[[0, 255, 0], [255, 0, 255]]]
    np.testing.assert_array_equal(image_to_pixels(message), expected)


def test_blue_first_becomes_red_first():
    pixels = np.array([[[65535, 0, 0]]], '<u2')
    message = Image(height=1, width=1, encoding='bgr16', step=6, data=pixels.tobytes())
    np.testing.assert_array_equal(image_to_pixels(message), [[[0, 0, 255]]])


@pytest.mark.parametrize(
    ('encoding', 'bytes_per_pixel'),
    [('rgb16', 6), ('bgra8', 4), ('mono16', 2), ('yuv422', 2), ('bayer_rggb8', 1)],
)
def test_pixels_are_those_of_cv_bridge(encoding, bytes_per_pixel):
    step = 8 * bytes_per_pixel
    data = np.random.default_rng(0).bytes(6 * step)
    message = Image(height=6, width=8, encoding=encoding, step=step, data=data)
    expected = cv_bridge.CvBridge().imgmsg_to_cv2(message, 'rgb8')
    pixels = image_to_pixels(message)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(pixels, expected)
