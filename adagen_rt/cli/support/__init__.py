"""Common parts of several commands."""
