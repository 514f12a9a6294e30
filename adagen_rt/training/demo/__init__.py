"""Training of the demo generators."""
