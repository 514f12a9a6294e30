"""The stand-in for TensorRT, with plans that run: ONNX Runtime over a ``HostDriver``'s memory."""

import ctypes
import json
import sys
from base64 import b64decode

import fake_tensorrt
import numpy as np
import onnxruntime
from fake_tensorrt_runtime import Context, Plan, make_runtime

from adagen_rt.backends.tensorrt import modules, runtime
from adagen_rt.cuda.host import HostDriver

DTYPES = {"FLOAT": np.float32, "INT64": np.int64, "UINT8": np.uint8}


class RunningContext(Context):
    """Computes when the stream comes to it: at once, or when a captured graph is replayed."""

    def get_tensor_shape(self, name):
        if name in self.shapes:
            return super().get_tensor_shape(name)
        zeros = {
            known: np.zeros(shape, self.plan.dtype(known)) for known, shape in self.shapes.items()
        }
        return self.plan.session.run([name], zeros)[0].shape

    def execute_async_v3(self, stream):
        accepted = super().execute_async_v3(stream)
        self.plan.driver.submit(self._work)
        return accepted

    def _work(self):
        inputs = {name: self._view(name) for name in self.shapes}
        names = [name for name in self.addresses if name not in self.shapes]
        for name, values in zip(names, self.plan.session.run(names, inputs), strict=True):
            self._view(name)[...] = values

    def _view(self, name):
        shape, dtype = tuple(self.get_tensor_shape(name)), self.plan.dtype(name)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if not size:
            return np.empty(shape, dtype)
        memory = (ctypes.c_uint8 * size).from_address(self.addresses[name])
        return np.frombuffer(memory, dtype).reshape(shape)


class RunningPlan(Plan):
    """A plan whose contexts run."""

    def __init__(self, content, driver):
        super().__init__(content)
        self.driver = driver
        graph = b64decode(json.loads(content)["onnx"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )

    def dtype(self, name):
        return DTYPES[self.tensors[name]["dtype"]]

    def create_execution_context(self, how):
        super().create_execution_context(how)
        self.contexts[-1] = RunningContext(self)
        return self.contexts[-1]


def install(monkeypatch, backend="tensorrt", driver=None):
    """Pretend that there is a GPU with TensorRT; returns the driver of what stands in for it."""
    driver = driver or HostDriver()
    module = fake_tensorrt.make_module({"tensorrt": "11.4.0", "tensorrt-rtx": "1.7.1"}[backend])
    module.Runtime, _ = make_runtime(lambda content: RunningPlan(content, driver))
    monkeypatch.setitem(sys.modules, modules.MODULES[backend].module, module)
    for place in (modules, runtime):
        monkeypatch.setattr(place, "compute_capability", lambda: "8.9")
    monkeypatch.setattr(runtime, "open_driver", lambda **options: driver)
    return driver
