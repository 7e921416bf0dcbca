"""Small videos, written with OpenCV in codecs that each of its builds has."""

import cv2
import numpy as np


def write_video(path, pictures, rate_hz=30.0):
    """Write uint8 [height, width, 3] RGB or [height, width] grey; MJPEG, in an .mp4 MPEG-4."""
    height, width = pictures[0].shape[:2]
    codec = cv2.VideoWriter.fourcc(*('mp4v' if path.suffix == '.mp4' else 'MJPG'))
    writer = cv2.VideoWriter(str(path), codec, rate_hz, (width, height))
    assert writer.isOpened(), f'this OpenCV cannot write {path}'
    for picture in pictures:
        colour = np.stack([picture] * 3, -1) if picture.ndim == 2 else picture
        writer.write(np.ascontiguousarray(colour[..., ::-1]))
    writer.release()
    return path


def moving_texture(count, height=48, width=64, step_px=1.0):
    """Return pictures of a smooth texture that moves to the left."""
    rng = np.random.default_rng(5)
    noise = rng.random((height, width + round(count * step_px) + 2)).astype(np.float32)
    texture = cv2.GaussianBlur(noise, (0, 0), 2)
    low, high = texture.min(), texture.max()
    texture = 40 + 180 * (texture - low) / (high - low)
    columns = np.arange(width, dtype=np.float32)
    rows, _ = np.mgrid[:height, :width].astype(np.float32)
    return [
        cv2.remap(
            texture,
            np.broadcast_to(columns + k * np.float32(step_px), (height, width)).copy(),
            rows,
            cv2.INTER_LINEAR,
        ).astype(np.uint8)
        for k in range(count)
    ]
