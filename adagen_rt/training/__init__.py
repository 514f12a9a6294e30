"""Training: demo generators, tokenizers, metrics (needs the `torch` extra)."""
