"""Training of policies."""
