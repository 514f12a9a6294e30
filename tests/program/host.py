"""Graphs in host memory, for device programs on the host's stand-in for a GPU."""

import ctypes

import numpy as np

from adagen_rt.backends.base import DeviceTensor
from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.cuda.host import HostDriver
from adagen_rt.program import Runner, build_program
from adagen_rt.program.setting import Setting


def program_of(engine, labels, seeds):
    """What the program of an engine under its policy makes: images, and actions by name."""
    driver, manifest = HostDriver(), engine.manifest
    graphs, steps = HostGraphs(engine, driver), manifest.schedule.steps
    setting = Setting(manifest, graphs, driver, 1, len(labels), steps, ("policy",))
    outcome = Runner(build_program(setting), driver, 1).run(
        {"labels": np.array(labels)}, np.array(seeds)
    )
    names = manifest.schedule.names
    return outcome.images, dict(zip(names, np.moveaxis(outcome.trace, 1, 0), strict=True))


class HostGraphs:
    """An engine's ONNX graphs under ONNX Runtime's CPU provider, as device graphs."""

    def __init__(self, engine, driver):
        self._engine = engine
        self._driver = driver
        self._backend = OnnxRuntime(threads=1)
        self._loaded = {}

    def graph(self, name, shapes):
        if name not in self._loaded:
            self._loaded[name] = self._backend.load(self._engine.graph_file(name))
        spec = self._engine.manifest.graphs[name]
        inputs = {t.name: DeviceTensor(tuple(shapes[t.name]), t.dtype) for t in spec.inputs}
        zeros = {name: np.zeros(s.shape, s.dtype) for name, s in inputs.items()}
        results = self._loaded[name].run(zeros)
        outputs = {k: DeviceTensor(a.shape, str(a.dtype)) for k, a in results.items()}
        return HostGraph(self._loaded[name].run, inputs, outputs, self._driver)


class HostGraph:
    def __init__(self, run, inputs, outputs, driver):
        self.inputs = inputs
        self.outputs = outputs
        self._run = run
        self._driver = driver

    def bind(self, addresses):
        specs = {**self.inputs, **self.outputs}
        self._arrays = {name: view(addresses[name], spec) for name, spec in specs.items()}

    def enqueue(self, stream):
        self._driver.submit(self._work)

    def _work(self):
        results = self._run({name: self._arrays[name] for name in self.inputs})
        for name in self.outputs:
            self._arrays[name][...] = results[name]


class Submitted:
    """Device graphs whose work waits for the replay when the host's stand-in captures."""

    def __init__(self, graphs, driver):
        self._graphs = graphs
        self._driver = driver

    def graph(self, name, shapes):
        graph = self._graphs.graph(name, shapes)
        enqueue = graph.enqueue
        graph.enqueue = lambda stream: self._driver.submit(lambda: enqueue(stream))
        return graph


def view(address, spec):
    """An array over memory that the driver owns."""
    size = int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize
    if not size:
        return np.empty(spec.shape, spec.dtype)
    memory = (ctypes.c_uint8 * size).from_address(address)
    return np.frombuffer(memory, spec.dtype).reshape(spec.shape)
