"""From an engine folder to something that generates."""
