"""The picture of a scene as a function of what moves: clips without rendering.

`basis` renders a scene at rest and under each movement, once. `picture` mixes what any instant
looks like from that, `counting` what an event sensor counts meanwhile: a hundred times quicker
than a film, so that training never sees a clip twice. Validation and test stay with rendered
films (`sensors.film`).
"""

from microexpr_ros.synthesis.appearance.basis import (
    AppearanceBasis,
    AppearanceChange,
    measure_basis,
    read_basis,
    write_basis,
)
from microexpr_ros.synthesis.appearance.counting import count_events
from microexpr_ros.synthesis.appearance.picture import mix_log_radiance

__all__ = [
    'AppearanceBasis',
    'AppearanceChange',
    'count_events',
    'measure_basis',
    'mix_log_radiance',
    'read_basis',
    'write_basis',
]
