"""Data sets of clips and recordings on disk."""
