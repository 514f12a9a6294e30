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


@contextmanager
def triton_server(repository, folder):
    """Serve a repository on loopback; gives the ports of HTTP and gRPC, and the log's path."""
    import pytriton

    home = Path(pytriton.__file__).parent / "tritonserver"
    http, grpc = free_port(), free_port()
    log = folder / "triton.log"
    command = [
        str(home / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={_backends(home, folder / 'backends')}",
        f"--http-port={http}",
        f"--grpc-port={grpc}",
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        "--allow-metrics=false",
        "--model-control-mode=none",
    ]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=_environment(), stdout=file, stderr=file)
    try:
        wait_until(lambda: _ready(http) or process.poll() is not None, READY_SECONDS)
        assert process.poll() is None, log.read_text()
        yield http, grpc, log
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _backends(home, folder):
    """Put the backend and the stub of this Python into one folder, where the backend looks."""
    shutil.copytree(home / "backends" / "python", folder / "python")
    stub = f"{sys.version_info.major}.{sys.version_info.minor}"
    source = home / "python_backend_stubs" / stub / "triton_python_backend_stub"
    shutil.copy2(source, folder / "python")
    return folder


def _environment():
    """Let the stub find libpython, its libraries, this environment and this package."""
    libraries = [
        Path(sys.base_prefix) / "lib",
        Path(sysconfig.get_path("purelib")) / "nvidia_pytriton.libs",
    ]
    return os.environ | {
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
        "PATH": os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"]]),
        "PYTHONPATH": str(Path(adagen_rt.__file__).parents[1]),
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
