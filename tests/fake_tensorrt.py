"""A stand-in for TensorRT's Python module: plans are JSON, and contexts check how they are used.

It holds the rules that a GPU would enforce: a profile is selected before shapes are set, shapes
are those of the profile, every tensor has an address of its own, and scratch memory is set and
large enough before anything runs.
"""

import enum
import json
from types import SimpleNamespace

import onnx

Location = enum.Enum("Location", "DEVICE HOST")
Type = enum.Enum("Type", "FLOAT HALF BF16 INT64")
Flag = enum.Enum("Flag", "TF32 FP16")
Strategy = enum.Enum("Strategy", "STATIC USER_MANAGED")
Specialization = enum.Enum("Specialization", "LAZY EAGER")
ErrorCode = enum.Enum("ErrorCode", "UNSUPPORTED_NODE")
ONNX_TYPES = {1: "FLOAT", 10: "HALF", 16: "BF16", 7: "INT64"}
#: Operators that the parser does not know.
UNKNOWN = ("Det",)
SCRATCH = 4096


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
        content = {"tensors": network.inputs + network.outputs, "profiles": config.profiles}
        return json.dumps(content).encode()


class Context:
    """An execution context that fails on misuse and notes what ran, and where."""

    def __init__(self, plan):
        self.plan, self.profile, self.scratch = plan, None, None
        self.shapes, self.addresses, self.runs = {}, {}, []

    def set_optimization_profile_async(self, profile, stream):
        self.profile = profile
        return stream != 0

    def set_input_shape(self, name, shape):
        self.shapes[name] = list(shape)
        return self.plan.profiles[self.profile].get(name, []) == list(shape)

    def get_tensor_shape(self, name):
        assert self.shapes.keys() >= self.plan.profiles[self.profile].keys()
        sizes = {}
        for known, shape in self.shapes.items():
            sizes.update(zip(self.plan.tensors[known]["shape"], shape, strict=True))
        return tuple(sizes.get(size, size) for size in self.plan.tensors[name]["shape"])

    def set_tensor_address(self, name, address):
        assert address
        self.addresses[name] = address
        return True

    def set_device_memory(self, address, size):
        assert address % 256 == 0
        self.scratch = (address, size)

    def execute_async_v3(self, stream):
        assert self.addresses.keys() == self.plan.tensors.keys()
        assert len(set(self.addresses.values())) == len(self.addresses)
        assert self.scratch[1] >= self.plan.get_device_memory_size_for_profile_v2(self.profile)
        self.runs.append(stream)
        return stream != 0


class RuntimeCache:
    """Kernels that a plan added, one a context."""

    def __init__(self):
        self.kernels = b""

    def serialize(self):
        return self.kernels

    def deserialize(self, content):
        self.kernels = content


class RuntimeConfig:
    def __init__(self):
        self.dynamic_shapes_kernel_specialization_strategy = Specialization.LAZY
        self.strategy = self.cache = None

    def set_execution_context_allocation_strategy(self, strategy):
        self.strategy = strategy

    def create_runtime_cache(self):
        return RuntimeCache()

    def set_runtime_cache(self, cache):
        self.cache = cache


class Plan:
    """A deserialised plan; `create_execution_context` wants memory managed by the user."""

    def __init__(self, content):
        content = json.loads(content)
        self.tensors = {tensor["name"]: tensor for tensor in content["tensors"]}
        self.profiles = content["profiles"]
        self.num_io_tensors = len(self.tensors)
        self.contexts = []
        self.location = Location.DEVICE

    def get_tensor_name(self, index):
        return list(self.tensors)[index]

    def get_tensor_location(self, name):
        return self.location

    def get_tensor_dtype(self, name):
        return Type[self.tensors[name]["dtype"]]

    def get_device_memory_size_for_profile_v2(self, profile):
        return SCRATCH * (profile + 1)

    def create_runtime_config(self):
        return RuntimeConfig()

    def create_execution_context(self, how):
        strategy = how
        if isinstance(how, RuntimeConfig):
            assert how.dynamic_shapes_kernel_specialization_strategy is Specialization.EAGER
            strategy = how.strategy
            how.cache.kernels += b"k"
        assert strategy is Strategy.USER_MANAGED
        self.contexts.append(Context(self))
        return self.contexts[-1]


def make_runtime(make_plan=Plan):
    """A `Runtime` class, and the list of what it deserialised."""
    seen = []

    class Runtime:
        def __init__(self, logger):
            pass

        def deserialize_cuda_engine(self, content):
            seen.append(content)
            return make_plan(content)

    return Runtime, seen


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
