"""The engine folder: what it may hold, how it is checked, read and written."""
