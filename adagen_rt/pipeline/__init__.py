"""Pipelines: engines that are loaded and ready to generate."""
