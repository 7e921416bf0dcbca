"""What an event sensor sends: events, triggers and frames.

Their encodings are in `codecs`, recordings in `files`, what writes files in `writers`, live
sensors in `cameras`, counts on a grid in `grid`; these load numba, this module does not.
"""

from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.region import Region

__all__ = ['Events', 'Frame', 'Region', 'Triggers']
