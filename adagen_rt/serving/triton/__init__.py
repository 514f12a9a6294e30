"""Models of Triton's Python backend, and the repository that names them."""
