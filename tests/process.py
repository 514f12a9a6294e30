"""Python in a process of its own, away from the sources, so that it imports what is installed."""

import subprocess
import sys
import tempfile


def run_python(code, *arguments, **options):
    """Run ``python -c code arguments`` and return its exit status and output."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as empty:
        options = {"cwd": empty, "timeout": 120, **options}
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def start_python(code, *arguments, **options):
    """Start the same and return the process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=tempfile.gettempdir(), **options)
