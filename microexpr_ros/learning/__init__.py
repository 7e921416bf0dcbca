"""Data sets to weights: training, metrics, baselines and evaluation."""
