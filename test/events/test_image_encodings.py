"""Pixels by hand for every encoding; where OpenCV has a converter of its own, compared with it."""

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.image_encodings import ENCODINGS, compress, decode_pixels, decompress

RANDOM = np.random.default_rng(0)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
ORANGE = (200, 100, 20)
PNG = cv2.imencode('.png', np.zeros((2, 2), np.uint8))[1].tobytes()

# One row of two pixels, red and blue.
BY_HAND = {
    'mono8': ([7, 9], [7, 9]),
    '8UC1': ([7, 9], [7, 9]),
    'rgb8': ([255, 0, 0, 0, 0, 255], [RED, BLUE]),
    'bgr8': ([0, 0, 255, 255, 0, 0], [RED, BLUE]),
    '8UC3': ([0, 0, 255, 255, 0, 0], [RED, BLUE]),
    'rgba8': ([255, 0, 0, 1, 0, 0, 255, 2], [RED, BLUE]),
    'bgra8': ([0, 0, 255, 1, 255, 0, 0, 2], [RED, BLUE]),
    '8UC4': ([0, 0, 255, 1, 255, 0, 0, 2], [RED, BLUE]),
    # Rounded: 0x0180 / 257 is 1.49, 0xff00 / 257 is 254.0.
    'mono16': ([0x80, 0x01, 0x00, 0xFF], [1, 254]),
    'rgb16': ([255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255], [RED, BLUE]),
    'bgr16': ([0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0], [RED, BLUE]),
    'rgba16': ([255, 255, 0, 0, 0, 0, 9, 9, 0, 0, 0, 0, 255, 255, 9, 9], [RED, BLUE]),
    'bgra16': ([0, 0, 0, 0, 255, 255, 9, 9, 255, 255, 0, 0, 0, 0, 9, 9], [RED, BLUE]),
    # Neutral chroma (128): white and black of the video range, which is 16 to 235.
    'uyvy': ([128, 235, 128, 16], [(255, 255, 255), (0, 0, 0)]),
    'yuv422': ([128, 235, 128, 16], [(255, 255, 255), (0, 0, 0)]),
    'yuyv': ([235, 128, 16, 128], [(255, 255, 255), (0, 0, 0)]),
    'yuv422_yuy2': ([235, 128, 16, 128], [(255, 255, 255), (0, 0, 0)]),
}
MOSAICS = sorted(name for name in ENCODINGS if name.startswith('bayer'))


def decode(data, size, encoding, step=None, is_bigendian=False):
    data = np.array(data, np.uint8).reshape(-1)
    return decode_pixels(data, size, step or len(data) // size[0], encoding, is_bigendian)


def test_every_encoding_is_tried():
    assert sorted([*BY_HAND, *MOSAICS]) == sorted(ENCODINGS)


@pytest.mark.parametrize('encoding', BY_HAND)
def test_pixels_by_hand(encoding):
    data, expected = BY_HAND[encoding]
    np.testing.assert_array_equal(decode(data, (1, 2), encoding), [expected])


@pytest.mark.parametrize('encoding', BY_HAND)
def test_rows_may_be_padded(encoding):
    data, expected = BY_HAND[encoding]
    rows = [*data, 77, 77, *data, 77, 77]
    np.testing.assert_array_equal(decode(rows, (2, 2), encoding), [expected, expected])


def test_the_upper_byte_may_come_first():
    data = [0x01, 0x80, 0xFF, 0x00]
    np.testing.assert_array_equal(decode(data, (1, 2), 'mono16', is_bigendian=True), [[1, 254]])


@pytest.mark.parametrize('encoding', MOSAICS)
def test_a_mosaic_of_one_colour_is_that_colour(encoding):
    letters = encoding.removeprefix('bayer_')[:4]
    cell = [ORANGE['rgb'.index(letter)] for letter in letters]
    mosaic = np.tile(np.reshape(cell, (2, 2)), (4, 5))
    if encoding.endswith('16'):
        mosaic = (mosaic * 257).astype('<u2').view(np.uint8)
    pixels = decode(mosaic, (8, 10), encoding)
    np.testing.assert_array_equal(pixels, np.broadcast_to(np.uint8(ORANGE), (8, 10, 3)))


def test_chroma_is_that_of_the_standard():
    # Red, by BT.601 in the video range: Y 81, U 90, V 240.
    (pixels,) = decode([90, 81, 240, 81], (1, 2), 'uyvy')
    np.testing.assert_allclose(pixels, [RED, RED], atol=2)


@pytest.mark.parametrize('encoding', ['uyvy', 'yuyv'])
def test_a_group_of_columns_that_is_cut_is_refused(encoding):
    with pytest.raises(MicroexprError, match=f'3 x 1 {encoding}: the width must be a multiple'):
        decode(np.zeros(6), (1, 3), encoding)


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_short_data_is_refused(encoding):
    with pytest.raises(MicroexprError, match=f'{encoding} with step 64 has only 127 bytes'):
        decode(np.zeros(127), (2, 4), encoding, step=64)
    with pytest.raises(MicroexprError, match='with step 3'):
        decode(np.zeros(100), (2, 4), encoding, step=3)


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
@pytest.mark.parametrize('channels', [1, 3])
def test_files_of_opencv_are_read(suffix, channels):
    colour = ORANGE[:channels]
    image = np.full((8, 8, channels), colour[::-1], np.uint8)
    _, data = cv2.imencode(suffix, image)
    pixels = decompress(data, suffix[1:])
    assert pixels.shape == ((8, 8) if channels == 1 else (8, 8, 3))
    np.testing.assert_allclose(pixels, np.full((8, 8, channels), colour).squeeze(), atol=3)


def test_png_of_sixteen_bits_or_with_transparency_is_read():
    _, data = cv2.imencode('.png', np.full((2, 2), 0xFF00, np.uint16))
    np.testing.assert_array_equal(decompress(data, 'mono16; png compressed '), [[254] * 2] * 2)
    _, data = cv2.imencode('.png', np.full((1, 1, 4), (20, 100, 200, 7), np.uint8))
    np.testing.assert_array_equal(decompress(data, 'bgra8; png compressed bgra8'), [[ORANGE]])


def test_a_sender_that_compressed_red_first_is_believed():
    _, data = cv2.imencode('.png', np.full((1, 1, 3), ORANGE, np.uint8))
    np.testing.assert_array_equal(decompress(data, 'rgb8; png compressed rgb8'), [[ORANGE]])


@pytest.mark.parametrize(
    ('data', 'description'),
    [
        (b'', 'jpeg'),
        (b'\0' * 100, 'h264'),
        (b'\xff\xd8\xff\xe0 cut', 'rgb8; jpeg compressed bgr8'),
        (b'\0' * 12 + PNG, '16UC1; compressedDepth'),
        (cv2.imencode('.tiff', np.zeros((2, 2), np.float32))[1].tobytes(), 'tiff'),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(data, description):
    with pytest.raises(MicroexprError, match=f"'{description}', {len(data)} bytes"):
        decompress(np.frombuffer(data, np.uint8), description)


def test_a_better_quality_is_a_larger_file():
    noise = RANDOM.integers(0, 256, (32, 32, 3), np.uint8)
    small, description = compress(noise, 20)
    large, _ = compress(noise, 95)
    assert len(small) < len(large) / 2
    assert description == 'rgb8; jpeg compressed bgr8'
    assert compress(noise[:, :, 0], 95)[1] == 'mono8; jpeg compressed '
