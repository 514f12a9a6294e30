"""What a forked child may do with what its parent loaded: be told, load its own, and end."""

import os
import sys

import pytest
from process import run_python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks as Linux does")

#: Runs `child()` in a child and prints how it ended; a child that hangs is killed.
PARENT = """
import os, signal, sys, time, warnings
import adagen_rt
warnings.simplefilter("ignore")  # newer versions of Python warn of forks with threads
from adagen_rt.errors import ForkedError

def run(child):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit(3)
    for _ in range(200):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            print("ended", os.waitstatus_to_exitcode(status))
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    print("hangs")

def refused(use):
    try:
        use()
    except ForkedError as error:
        print(error)

engine, backend = sys.argv[1:]
"""
LOADED = (
    PARENT
    + """
pipeline = adagen_rt.load(engine, threads=2, backend=backend)
right = pipeline.generate([0], [1]).images
stream = pipeline.stream([0], [1])
step = next(stream)
"""
)
LINE = (
    "tiny was loaded in process {}, before a fork; load it in the child, after the fork, or start "
    "children with multiprocessing's method spawn"
)


@pytest.fixture(params=["onnxruntime", "openvino"])
def backend(request):
    pytest.importorskip(request.param)
    return request.param


def lines(code, engine, backend):
    done = run_python(code, engine, backend, timeout=60)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_it_is_refused_in_one_line_and_the_child_ends(tiny_engine, backend):
    code = f"""{LOADED}
def child():
    for use in (lambda: pipeline.generate([0], [1]), step.preview, lambda: next(stream)):
        refused(use)
    pipeline.close()
run(child)
print((pipeline.generate([0], [1]).images == right).all(), os.getpid())
"""
    *refusals, ended, still = lines(code, tiny_engine, backend)
    right, process = still.split()
    assert refusals == [LINE.format(process)] * 3
    assert ended == "ended 3"
    assert right == "True"


def test_a_lock_that_a_thread_of_the_parent_holds_is_no_matter(tiny_engine):
    code = f"""{LOADED}
import threading
held, go = threading.Event(), threading.Event()
def hold():
    with pipeline.turn:
        held.set()
        go.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
run(lambda: (refused(lambda: pipeline.generate([0], [1])), pipeline.close()))
go.set()
thread.join()
"""
    refusal, ended = lines(code, tiny_engine, "onnxruntime")
    assert refusal.startswith("tiny was loaded in process")
    assert ended == "ended 3"


def test_a_child_may_load_its_own(tiny_engine):
    code = f"""{LOADED}
def child():
    print((adagen_rt.load(engine, threads=2).generate([0], [1]).images == right).all())
run(child)
"""
    assert lines(code, tiny_engine, "onnxruntime") == ["True", "ended 3"]


def test_multiprocessing(tiny_engine):
    code = f"""{LOADED}
import multiprocessing
child = multiprocessing.get_context("fork").Process(
    target=refused, args=(lambda: pipeline.generate([0], [1]),))
child.start()
child.join(20)
print(child.exitcode)
"""
    refusal, status = lines(code, tiny_engine, "onnxruntime")
    assert refusal.startswith("tiny was loaded in process")
    assert status == "0"


def test_a_batch_engine(tiny_engine):
    pytest.importorskip("fastapi")
    code = f"""{PARENT}
from adagen_rt.serving import BatchEngine
from adagen_rt.serving.http.fleet import Fleet
served = BatchEngine(engine, threads=2)
fleet = Fleet.of(served)
print(fleet.ready)
def child():
    refused(lambda: served.submit(0))
    print(served.alive, fleet.ready, fleet.idle)
    served.close()
run(child)
print(fleet.ready, served.submit(0, 1).result(20).pixels.shape)
served.close()
print(served.alive)
"""
    ready, refusal, *rest = lines(code, tiny_engine, "onnxruntime")
    assert ready == "True"
    assert refusal.startswith("tiny was loaded in process")
    assert rest == ["False False True", "ended 3", "True (4, 4, 1)", "False"]


def test_a_process_is_told_from_its_parent(monkeypatch, judged_pipeline):
    assert not judged_pipeline.turn.forked
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert judged_pipeline.turn.forked
