"""Triton in a process of its own, from the package nvidia-pytriton."""

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from http_server import wait_until

import adagen_rt

READY_SECONDS = 120


class Triton:
    """A server on loopback, which may be killed and started again.

    Attributes:
        http: Port of HTTP.
        grpc: Port of gRPC.
        log: Path of its log.
        process: Its process.
    """

    def __init__(self, repository, folder):
        import pytriton

        home = Path(pytriton.__file__).parent / "tritonserver"
        self.http, self.grpc = free_port(), free_port()
        self.log = folder / "triton.log"
        self._command = [
            str(home / "bin" / "tritonserver"),
            f"--model-repository={repository}",
            f"--backend-directory={_backends(home, folder / 'backends')}",
            f"--http-port={self.http}",
            f"--grpc-port={self.grpc}",
            "--http-address=127.0.0.1",
            "--grpc-address=127.0.0.1",
            "--allow-metrics=false",
            "--model-control-mode=none",
        ]

    def start(self):
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as file:
            # Its Python reads no PYTHONPATH, and looks for modules where the server runs.
            options = {"env": _environment(), "cwd": Path(adagen_rt.__file__).parents[1]}
            self.process = subprocess.Popen(self._command, stdout=file, stderr=file, **options)
        wait_until(lambda: _ready(self.http) or self.process.poll() is not None, READY_SECONDS)
        assert self.process.poll() is None, self.log.read_text()

    def stop(self):
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def triton_server(repository, folder):
    """Serve a repository on loopback; gives the server."""
    server = Triton(repository, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _backends(home, folder):
    """Put the backend and the stub of this Python into one folder, where the backend looks."""
    shutil.copytree(home / "backends" / "python", folder / "python")
    stub = f"{sys.version_info.major}.{sys.version_info.minor}"
    source = home / "python_backend_stubs" / stub / "triton_python_backend_stub"
    shutil.copy2(source, folder / "python")
    return folder


def _environment():
    """Let the stub find libpython, its libraries and this environment."""
    libraries = [
        Path(sys.base_prefix) / "lib",
        Path(sysconfig.get_path("purelib")) / "nvidia_pytriton.libs",
    ]
    return os.environ | {
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
        "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"]]),
    }


def _ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5) as done:
            return done.status == 200
    except (URLError, ConnectionError, TimeoutError):
        return False


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
