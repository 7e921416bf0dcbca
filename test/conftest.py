"""Settings for all tests."""

from hypothesis import settings

# Kernels compile and machines are busy: how long an example takes says nothing about it.
settings.register_profile('default', deadline=None)
settings.load_profile('default')
