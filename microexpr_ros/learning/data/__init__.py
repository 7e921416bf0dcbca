"""Clips as the networks' inputs and targets."""
