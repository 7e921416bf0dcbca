"""The executables: one module per node."""
