"""The adaptive loop, its requests and its results."""
