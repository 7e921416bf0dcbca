"""Networks and baselines that can be trained."""
