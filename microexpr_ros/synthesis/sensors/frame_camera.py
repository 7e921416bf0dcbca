"""A model of a frame camera: photons, shutter, shot and read noise, gain, gamma, JPEG and clock.

A `FrameSensor` says how many electrons a scene gives, and so what exposure it needs. Every frame
goes the same way. `auto_expose` fixes the exposure on a scene, and `AutomaticExposure` changes it
from frame to frame; `gather` (for any shutter) or `average` (for all rows at once) gives the mean
radiance over an exposure; `expose` makes the frame of it, with noise, by `encode`; `compress`
sends it as a webcam does.

A surface of radiance (here: radiant exitance) M lux lights the sensor behind a lens of f-number N
and transmission T with M T / (4 N^2) lux. White light has about 8100 photons per lux, second and
square micrometre between 400 and 700 nm: cool white lamps 0.0135 umol / (m^2 s lux), sunlight
0.0185 (Apogee Instruments, Conversion - PPFD to Lux, after Thimijan and Heins, HortScience 1983).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import srgb
from microexpr_ros.synthesis.world.light import Light

GAIN_MOMENTS: Final = 64
"""Moments of an exposure at which the light's flicker is evaluated."""

PHOTONS: Final = 8100.0
"""Photons of 400 to 700 nm in white light, per lux, second and square micrometre."""

METERED: Final = 0.18
"""Mean of the whole picture, as a share of white, that automatic exposure aims at: the grey card
that light meters are calibrated with."""

_LEAST_LUX: Final = 1e-3
_METERING_ROUNDS: Final = 20


@dataclass(frozen=True, slots=True)
class FrameCamera:
    """A frame camera with a fixed exposure.

    Attributes:
        rate_hz: frames per second.
        exposure_ns: how long the shutter is open.
        white_lux: radiance that the frame shows as white.
        full_well: electrons of a white pixel; less light, fewer electrons, more noise.
        read_noise: standard deviation of the read-out, electrons.
        readout_ns: from the exposure of the first row to that of the last: a rolling shutter;
            0 for a global one.
    """

    rate_hz: float = 30.0
    exposure_ns: int = 8_000_000
    white_lux: float = 200.0
    full_well: float = 8000.0
    read_noise: float = 4.0
    readout_ns: int = 0


@dataclass(frozen=True, slots=True)
class FrameSensor:
    """What decides how many electrons of a scene a frame camera counts.

    The values are those of a usual small sensor of a webcam. Quantum efficiency, read noise and
    full well are near those in EMVA 1288 reports on sensors with pixels of 2.4 and 3.45 um (Sony
    IMX178 and IMX273: 60 to 65 % at 525 nm, 2 to 3 electrons, 10,000 to 15,000 electrons).

    Attributes:
        pixel_um: side of a pixel.
        f_number: of the lens.
        transmission: share of the light that passes the lens.
        quantum_efficiency: electrons per photon of 400 to 700 nm: 0.6 of the pixel, of which a
            colour filter lets two fifths pass.
        full_well: most electrons of a pixel.
        read_noise: standard deviation of the read-out, electrons.
        rate_hz: frames per second.
        shortest_ns: shortest exposure.
        longest_ns: longest exposure at this rate; darker scenes get gain.
        readout_ns: from the exposure of the sensor's first row to that of its last.
        jpeg_quality: of MJPEG, 1 to 100.
    """

    pixel_um: float = 3.0
    f_number: float = 2.0
    transmission: float = 0.9
    quantum_efficiency: float = 0.24
    full_well: float = 10_000.0
    read_noise: float = 2.5
    rate_hz: float = 30.0
    shortest_ns: int = 100_000
    longest_ns: int = 33_000_000
    readout_ns: int = 20_000_000
    jpeg_quality: int = 80

    @property
    def electrons_per_lux_s(self) -> float:
        """Electrons of a pixel per lux of radiance and second of exposure.

        Example:
            >>> round(FrameSensor().electrons_per_lux_s)
            984
        """
        lit = self.transmission / (4 * self.f_number**2)
        return self.pixel_um**2 * lit * PHOTONS * self.quantum_efficiency

    def expose_for(self, white_lux: float, readout_ns: int = 0) -> FrameCamera:
        """Return a camera whose frames show a radiance as white.

        White fills the well if the exposure may be long enough; else gain makes white of fewer
        electrons.

        Args:
            white_lux: That radiance.
            readout_ns: Of the rows that the camera sees; 0 for a global shutter.
        """
        white_lux = max(white_lux, _LEAST_LUX)
        per_ns = 1e-9 * self.electrons_per_lux_s * white_lux
        exposure_ns = int(np.clip(self.full_well / per_ns, self.shortest_ns, self.longest_ns))
        return FrameCamera(
            self.rate_hz,
            exposure_ns,
            white_lux,
            min(per_ns * exposure_ns, self.full_well),
            self.read_noise,
            readout_ns,
        )


WEBCAM: Final = FrameSensor()
"""The camera of all frames. A DAVIS's own frames are not modelled."""


@dataclass(frozen=True, slots=True)
class FrameClock:
    """The clock that a frame camera stamps its frames with.

    Attributes:
        offset_ns: what it shows at time 0.
        drift: how much faster than true time it runs, seconds per second.
        jitter_ns: standard deviation of a stamp.
    """

    offset_ns: int = 0
    drift: float = 0.0
    jitter_ns: float = 0.0

    def stamp(self, t_ns: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the stamps, int64 [N], that the clock gives at true times t_ns."""
        error = self.drift * t_ns + self.jitter_ns * rng.standard_normal(len(t_ns))
        return t_ns + self.offset_ns + np.round(error).astype(np.int64)


def sample_clock(rng: np.random.Generator) -> FrameClock:
    """Sample a clock as cameras on USB have: 30 ms, 50 ppm and a millisecond at most."""
    return FrameClock(
        int(rng.uniform(-30e6, 30e6)),
        float(rng.uniform(-5e-5, 5e-5)),
        float(rng.uniform(1e5, 1e6)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Metering:
    """What automatic exposure measures: the whole frame, of which a picture may be a part.

    Attributes:
        share: of the frame that the picture takes, above 0 to 1.
        around: float32 [...], radiance of the rest, lux; any size.
    """

    share: float = 1.0
    around: NDArray[np.float32] = field(default_factory=lambda: np.zeros(1, np.float32))

    def measure(
        self, picture: NDArray[np.float32], white_lux: float, around_gain: float = 1.0
    ) -> float:
        """Return the mean of a frame as a share of white; what is brighter is white.

        Args:
            picture: float32 [...], radiance of the picture, lux.
            white_lux: Radiance that the frame shows as white.
            around_gain: Factor on the radiance around the picture.
        """
        inside = np.minimum(picture / white_lux, 1).mean()
        outside = np.minimum(self.around * (around_gain / white_lux), 1).mean()
        return float(self.share * inside + (1 - self.share) * outside)

    def settle(self, picture: NDArray[np.float32]) -> float:
        """Return the radiance that is white once the mean has come to METERED, lux."""
        white = self.share * float(picture.mean())
        white = max((white + (1 - self.share) * float(self.around.mean())) / METERED, _LEAST_LUX)
        # White that is clipped counts for less: each round needs less light for the same mean.
        for _ in range(_METERING_ROUNDS):
            white = max(white * self.measure(picture, white) / METERED, _LEAST_LUX)
        return white


def auto_expose(radiance: NDArray[np.float32]) -> FrameCamera:
    """Return a camera whose automatic exposure has converged on a scene, float32 [H, W], lux.

    The mean of the whole picture comes to METERED. Dim scenes get long exposures first, and then
    gain, which leaves fewer electrons for white. The shutter is global.
    """
    return WEBCAM.expose_for(Metering().settle(radiance))


def gather(
    camera: FrameCamera,
    open_ns: int,
    t_ns: NDArray[np.int64],
    pictures: NDArray[np.float32],
    light: Light,
) -> NDArray[np.float32]:
    """Return what each row sees while it is exposed, its mean over the exposure.

    Args:
        camera: The camera.
        open_ns: When the first row's exposure begins.
        t_ns: int64 [N], increasing, times of the pictures; two at least. Between them the
            radiance runs in a straight line.
        pictures: float32 [N, rows, ...], radiance without flicker.
        light: Its flicker is added.

    Returns:
        float32 [rows, ...].
    """
    rows = pictures.shape[1]
    begin = open_ns + np.linspace(0, camera.readout_ns, rows)
    moments = begin[:, None] + (np.arange(GAIN_MOMENTS) + 0.5) / GAIN_MOMENTS * camera.exposure_ns
    after = np.clip(np.searchsorted(t_ns, moments), 1, len(t_ns) - 1)
    span = t_ns[after] - t_ns[after - 1]
    share = np.clip((moments - t_ns[after - 1]) / span, 0, 1)
    gain = light.gain(moments.astype(np.int64)) / GAIN_MOMENTS
    weight = np.zeros((rows, len(t_ns)))
    row = np.arange(rows)[:, None]
    np.add.at(weight, (row, after - 1), gain * (1 - share))
    np.add.at(weight, (row, after), gain * share)
    mean = np.einsum('rn,nr...->r...', weight.astype(np.float32), pictures)
    return np.asarray(mean, np.float32)


def exposure_times(camera: FrameCamera, open_ns: int, count: int) -> NDArray[np.int64]:
    """Return moments of an exposure, int64 [count], from its begin to its end, evenly spaced."""
    return np.linspace(open_ns, open_ns + camera.exposure_ns, count).astype(np.int64)


def average(pictures: Sequence[NDArray[np.float32]], gain: np.floating) -> NDArray[np.float32]:
    """Return what a global shutter sees, the mean over the exposure.

    Args:
        pictures: float32 [rows, ...], radiance without flicker at moments of the exposure.
        gain: The mean factor of the light's flicker on all radiance.

    Returns:
        float32 [rows, ...].
    """
    mean = np.mean(pictures, axis=0)
    mean *= gain
    return np.asarray(mean, np.float32)


def expose(
    camera: FrameCamera, radiance: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return the frame that an exposure gives.

    Args:
        camera: The camera.
        radiance: float32 [...], mean over the exposure, lux.
        rng: Random numbers, for the noise.

    Returns:
        uint8 [...], gamma-encoded sRGB luma.
    """
    electrons = np.maximum(radiance / camera.white_lux, 0) * camera.full_well
    # Normal instead of Poisson: the same to the eye above ten electrons, and much faster.
    noise = rng.standard_normal(radiance.shape, np.float32)
    noisy = electrons + noise * np.sqrt(electrons + camera.read_noise**2)
    return encode(np.asarray(noisy / camera.full_well, np.float32))


def encode(linear: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Encode linear light, 1 for white, by the sRGB curve (IEC 61966-2-1) to uint8."""
    return np.asarray(srgb.encode(np.clip(linear, 0, 1)) * 255 + 0.5, np.uint8)


def compress(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return a frame as MJPEG brings it: JPEG with a half of the chroma's resolution (4:2:0).

    Args:
        pixels: uint8 [H, W] or [H, W, 3], RGB.
        quality: 1 to 100.
    """
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    ]
    # OpenCV takes the first channel for blue.
    _, encoded = cv2.imencode('.jpg', pixels[..., ::-1] if pixels.ndim == 3 else pixels, options)
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED), np.uint8)
    return decoded[..., ::-1] if pixels.ndim == 3 else decoded
