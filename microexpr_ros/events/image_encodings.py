"""Pixels of images in the encodings of sensor_msgs and in compressed files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.errors import MicroexprError

Pixels = NDArray[np.uint8]
"""[height, width] grey, or [height, width, 3] RGB."""


@dataclass(frozen=True)
class Encoding:
    """How the pixels of an image lie in its data.

    Attributes:
        channels: numbers per pixel.
        to_pixels: from uint8 [height, width, channels], or [height, width] if there is one
            channel, to grey or RGB.
        bytes_each: size of a number; of two bytes, the upper one is kept, rounded.
        pixels_in_group: columns that share their colour; the width is a multiple of it.
    """

    channels: int
    to_pixels: Callable[[NDArray[np.uint8]], Pixels]
    bytes_each: int = 1
    pixels_in_group: int = 1


def _keep(pixels: NDArray[np.uint8]) -> Pixels:
    return pixels


def _take_rgb(pixels: NDArray[np.uint8]) -> Pixels:
    return pixels[:, :, :3]


def _reverse_bgr(pixels: NDArray[np.uint8]) -> Pixels:
    return pixels[:, :, 2::-1]


def _convert(code: int, pixels: NDArray[np.uint8]) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


_UYVY: Final = Encoding(2, partial(_convert, cv2.COLOR_YUV2RGB_UYVY), pixels_in_group=2)
_YUYV: Final = Encoding(2, partial(_convert, cv2.COLOR_YUV2RGB_YUY2), pixels_in_group=2)
_MOSAICS: Final = {
    'rggb': cv2.COLOR_BayerRGGB2RGB,
    'bggr': cv2.COLOR_BayerBGGR2RGB,
    'gbrg': cv2.COLOR_BayerGBRG2RGB,
    'grbg': cv2.COLOR_BayerGRBG2RGB,
}

ENCODINGS: Final = {
    'mono8': Encoding(1, _keep),
    '8UC1': Encoding(1, _keep),
    'mono16': Encoding(1, _keep, 2),
    'rgb8': Encoding(3, _take_rgb),
    'rgba8': Encoding(4, _take_rgb),
    'rgb16': Encoding(3, _take_rgb, 2),
    'rgba16': Encoding(4, _take_rgb, 2),
    'bgr8': Encoding(3, _reverse_bgr),
    'bgra8': Encoding(4, _reverse_bgr),
    'bgr16': Encoding(3, _reverse_bgr, 2),
    'bgra16': Encoding(4, _reverse_bgr, 2),
    # Their order is not said; OpenCV, which has these names, and RViz take blue first.
    '8UC3': Encoding(3, _reverse_bgr),
    '8UC4': Encoding(4, _reverse_bgr),
    'uyvy': _UYVY,
    'yuv422': _UYVY,
    'yuyv': _YUYV,
    'yuv422_yuy2': _YUYV,
    **{
        f'bayer_{mosaic}{8 * bytes_each}': Encoding(1, partial(_convert, code), bytes_each)
        for mosaic, code in _MOSAICS.items()
        for bytes_each in (1, 2)
    },
}
"""Encodings that are read, by the names of sensor_msgs."""


def decode_pixels(
    data: NDArray[np.uint8], size: tuple[int, int], step: int, encoding: str, is_bigendian: bool
) -> Pixels:
    """Return the pixels of an image.

    Args:
        data: bytes of the image.
        size: rows and columns.
        step: bytes from row to row.
        encoding: one of ENCODINGS.
        is_bigendian: whether the upper of two bytes comes first.

    Raises:
        MicroexprError: the data is shorter than the sizes say, or colour is shared by a group
            of columns that the width cuts.

    Example:
        >>> row = np.array([255, 127, 0, 64], np.uint8)
        >>> decode_pixels(row, (1, 2), 4, 'mono16', is_bigendian=False)
        array([[127,  64]], dtype=uint8)
    """
    height, width = size
    layout = ENCODINGS[encoding]
    row_bytes = width * layout.channels * layout.bytes_each
    if step < row_bytes or len(data) < height * step:
        raise MicroexprError(
            f'image of {width} x {height} {encoding} with step {step} has only {len(data)} bytes; '
            'the camera driver sent a malformed message'
        )
    if width % layout.pixels_in_group:
        raise MicroexprError(
            f'image of {width} x {height} {encoding}: the width must be a multiple of '
            f'{layout.pixels_in_group}; the camera driver sent a malformed message'
        )
    rows = np.ascontiguousarray(data[: height * step].reshape(height, step)[:, :row_bytes])
    if layout.bytes_each == 2:
        rows = _narrow(rows.view('>u2' if is_bigendian else '<u2'))
    shape = (height, width) if layout.channels == 1 else (height, width, layout.channels)
    return layout.to_pixels(rows.reshape(shape))


def _narrow(numbers: NDArray[Any]) -> NDArray[np.uint8]:
    """Return numbers of 16 bits as 8, so that the greatest one stays the greatest."""
    return ((numbers.astype(np.uint32) + 128) // 257).astype(np.uint8)


def decompress(data: NDArray[np.uint8], description: str) -> Pixels:
    """Return the pixels of a JPEG or PNG file, or of another that OpenCV reads.

    Args:
        data: bytes of the file.
        description: `format` of the message, for example `jpeg` or `rgb8; jpeg compressed bgr8`.

    Raises:
        MicroexprError: OpenCV cannot read it.
    """
    decoded = None
    # A depth image begins with a header of its own, which is no file.
    if len(data) and 'compressedDepth' not in description:
        try:
            decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        except cv2.error:
            decoded = None
    if decoded is None or decoded.dtype not in (np.uint8, np.uint16):
        raise MicroexprError(
            f'compressed image of format {description!r}, {len(data)} bytes, cannot be read; let '
            'the camera send jpeg or png'
        )
    pixels = _narrow(decoded) if decoded.dtype == np.uint16 else np.asarray(decoded, np.uint8)
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 2:
        return pixels[:, :, 0]  # Grey with transparency.
    # OpenCV gives blue first. Some senders compress RGB as if it were that, and say so.
    return pixels[:, :, :3] if 'compressed rgb' in description else pixels[:, :, 2::-1]


def compress(pixels: Pixels, jpeg_quality: int) -> tuple[bytes, str]:
    """Return pixels as a JPEG file, and its `format` as image_transport names it.

    Args:
        pixels: grey or RGB.
        jpeg_quality: 1 to 100.
    """
    is_grey = pixels.ndim == 2
    image = pixels if is_grey else pixels[:, :, ::-1]
    _, data = cv2.imencode(
        '.jpg', np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality]
    )
    return data.tobytes(), f'{"mono8" if is_grey else "rgb8"}; jpeg compressed ' + (
        '' if is_grey else 'bgr8'
    )
