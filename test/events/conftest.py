"""Makes `event_streams` importable: test folders are no packages (`test` is one of Python's)."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
