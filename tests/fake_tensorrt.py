"""A stand-in for TensorRT's Python module, whose plans are JSON."""

import enum
import json
from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace

import onnx
from fake_tensorrt_runtime import Specialization, Strategy, make_runtime

Flag = enum.Enum("Flag", "TF32 FP16")
ErrorCode = enum.Enum("ErrorCode", "UNSUPPORTED_NODE")
ONNX_TYPES = {1: "FLOAT", 10: "HALF", 16: "BF16", 7: "INT64", 2: "UINT8"}
#: Operators that the parser does not know.
UNKNOWN = ("Det",)


class Base:
    """`ILogger` or `IProgressMonitor`: what Python subclasses."""

    ERROR, WARNING, INFO = 1, 2, 3


class Network:
    def __init__(self):
        self.inputs, self.outputs = [], []
        self.num_inputs = self.num_outputs = 0

    def get_input(self, index):
        return SimpleNamespace(name=self.inputs[index]["name"], is_shape_tensor=False)


class OnnxParser:
    def __init__(self, network, logger):
        self.network, self.errors = network, []

    @property
    def num_errors(self):
        return len(self.errors)

    def get_error(self, index):
        return self.errors[index]

    def parse_from_file(self, path):
        model = onnx.load(path, load_external_data=False)
        self.network.onnx = b64encode(Path(path).read_bytes()).decode()
        for index, node in enumerate(model.graph.node):
            if node.op_type in UNKNOWN:
                self.errors.append(ParserError(node, index))
                return False
        weights = {tensor.name for tensor in model.graph.initializer}
        self.network.inputs = [tensor(v) for v in model.graph.input if v.name not in weights]
        self.network.outputs = [tensor(value) for value in model.graph.output]
        self.network.num_inputs = len(self.network.inputs)
        self.network.num_outputs = len(self.network.outputs)
        return True


class ParserError:
    def __init__(self, node, index):
        self.node_name = lambda: node.name
        self.node_operator = lambda: node.op_type
        self.node = lambda: index
        self.code = lambda: ErrorCode.UNSUPPORTED_NODE
        self.desc = lambda: "no such\n layer"


def tensor(value):
    kind = value.type.tensor_type
    shape = [dim.dim_param or dim.dim_value for dim in kind.shape.dim]
    return {"name": value.name, "dtype": ONNX_TYPES[kind.elem_type], "shape": shape}


class Profile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, low, best, high):
        assert low == best == high
        self.shapes[name] = list(best)


class TimingCache:
    def __init__(self, content):
        self.content = content

    def serialize(self):
        return self.content + b"+"


class Config:
    def __init__(self):
        self.flags, self.profiles, self.cache = set(Flag), [], None
        self.progress_monitor = None

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def add_optimization_profile(self, profile):
        self.profiles.append(profile.shapes)

    def create_timing_cache(self, content):
        return TimingCache(content)

    def set_timing_cache(self, cache, ignore_mismatch):
        self.cache = cache

    def get_timing_cache(self):
        return self.cache


class Builder:
    def __init__(self, logger):
        self.logger = logger

    def create_network(self, flags):
        assert flags == 2
        return Network()

    def create_builder_config(self):
        return Config()

    def create_optimization_profile(self):
        return Profile()

    def build_serialized_network(self, network, config):
        monitor = config.progress_monitor
        monitor.phase_start("Building", None, 2)
        for step in range(2):
            if not monitor.step_complete("Building", step):
                return None
        monitor.phase_finish("Building")
        assert Flag.TF32 not in config.flags
        tensors = network.inputs + network.outputs
        content = {"tensors": tensors, "profiles": config.profiles, "onnx": network.onnx}
        return json.dumps(content).encode()


def make_module(version="11.4.0"):
    """A module of its own, whose `deserialised` lists all bytes that were."""
    runtime, seen = make_runtime()
    return SimpleNamespace(
        __version__=version,
        ILogger=Base,
        IProgressMonitor=Base,
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
        BuilderFlag=Flag,
        ExecutionContextAllocationStrategy=Strategy,
        DynamicShapesKernelSpecializationStrategy=Specialization,
        Builder=Builder,
        OnnxParser=OnnxParser,
        Runtime=runtime,
        deserialised=seen,
    )
