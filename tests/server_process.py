"""A server in a process of its own, and the lines of its log."""

import json
import subprocess
import threading
import urllib.parse

from http_server import wait_until
from process import start_python

COMMAND = "from adagen_rt.cli import main; main()"


class Process:
    """A server process; kills what a test leaves."""

    def __init__(self, code, *arguments, listens=True):
        pipe = subprocess.PIPE
        self.process = start_python(code, *arguments, stderr=pipe, stdout=pipe, text=True)
        self.lines = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            wait_until(lambda: self.find("ready") or self.process.poll() is not None, 180)
            assert self.find("ready"), self.lines
        except BaseException:
            self.__exit__()
            raise
        if not listens:
            return
        url = urllib.parse.urlparse(self.find("listening")["url"])
        self.host, self.port = url.hostname, url.port

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(json.loads(line))

    def find(self, message):
        return next((line for line in list(self.lines) if line["message"] == message), None)

    def stop(self, *signals):
        for number in signals:
            self.process.send_signal(number)
        status = self.process.wait(20)
        self._reader.join(20)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self._reader.join(20)
        self.process.stdout.close()
        self.process.stderr.close()
