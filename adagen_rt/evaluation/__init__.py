"""Scores and latency of generators."""
