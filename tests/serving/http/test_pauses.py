"""What stops the interpreter, and with it every answer, stops it for a few milliseconds at most."""

import json

import numpy as np
import pytest
from process import run_python

pytest.importorskip("fastapi")

PROGRAM = """
import gc, sys, time
from adagen_rt.cli import main
from adagen_rt.serving.http.server import Server

def serve_on(self, listener, warm_first=False):
    self._load()
    begin = time.thread_time()
    gc.collect()
    print(gc.get_freeze_count(), len(gc.get_objects()), time.thread_time() - begin)
    print(sys.getswitchinterval())
    self.fleet.close(drain=False)
    return 0

Server.serve_on = serve_on
main()
"""


def test_a_collection_of_a_server_is_short(judged_engine):
    done = run_python(PROGRAM, "serve", judged_engine, "--port", 0, "--threads", 1)
    assert done.returncode == 0, done.stderr
    frozen, left, seconds, switch = map(float, done.stdout.split())
    assert frozen > 50_000
    assert left < frozen / 10  # an engine and its requests, which have to be collected
    assert seconds < 0.05
    assert switch <= 0.001


@pytest.fixture
def longest(monkeypatch):
    """Most values that Python's encoder has written at once."""
    seen, dumps = [], json.dumps

    def count(value, **options):
        seen.append(len(value) if isinstance(value, list) else 1)
        return dumps(value, **options)

    monkeypatch.setattr(json, "dumps", count)
    return lambda: max(seen)


def test_the_numbers_of_large_images_are_written_in_pieces(longest):
    from adagen_rt.serving.http.json_text import PIECE, write_json

    image = (np.arange(3 * PIECE + 7) % 256).astype(np.uint8).reshape(1, -1)
    floats = np.array([0.5, np.nan, -np.inf, 1e-8], np.float32)
    text = write_json(
        {"a": '\u00e9"', "outputs": [{"data": image}, {"data": floats}], "none": None}
    )
    assert longest() <= PIECE
    assert json.loads(text) == {
        "a": '\u00e9"',
        "outputs": [
            {"data": image.ravel().tolist()},
            {"data": [0.5, None, None, float(np.float32(1e-8))]},
        ],
        "none": None,
    }


def test_empty_and_single_values():
    from adagen_rt.serving.http.json_text import write_json

    assert write_json({"a": np.zeros((0, 3)), "b": [], "c": {}}) == '{"a":[],"b":[],"c":{}}'
    assert write_json(np.array([7])) == "[7]"
