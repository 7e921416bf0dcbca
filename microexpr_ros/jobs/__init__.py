"""Dividing work: into parts for a batch system, and among processes of this or other machines.

Everything runs on a `concurrent.futures.Executor`: a process pool of the standard library, or a
Dask cluster (`jobs.cluster`, an extra).
"""

from microexpr_ros.jobs.running import run
from microexpr_ros.jobs.share import Share

__all__ = ['Share', 'run']
