"""PyTorch networks with the published parameter names, and their weight files."""
