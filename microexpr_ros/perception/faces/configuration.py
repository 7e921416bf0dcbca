"""Shape of the networks of the face tracker; read without torch."""

from __future__ import annotations

from dataclasses import dataclass

from microexpr_ros.perception.settings import added_field


@dataclass(frozen=True, slots=True)
class FaceConfiguration:
    """Sizes of the networks.

    Attributes:
        detector: channels at a half, a quarter and an eighth of the pooled sensor.
        refiner: channels at a half, a quarter, an eighth and a sixteenth of the crop.
        hidden: units of the refiner behind its convolutions.
        blocks: residual blocks of the refiner at a quarter, an eighth and a sixteenth of the crop.
        crop: rows and columns of a crop around a face, a multiple of 16.
    """

    detector: tuple[int, ...] = (16, 32, 48)
    refiner: tuple[int, ...] = (24, 48, 64, 80)
    hidden: int = 96
    blocks: tuple[int, ...] = (2, 2, 1)
    crop: int = added_field(64, before=48)
