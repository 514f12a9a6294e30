"""The half of `fake_tensorrt` that runs plans.

It holds the rules that a GPU would enforce: a profile is selected before shapes are set, shapes
are those of the profile, every tensor has an address of its own, and scratch memory is set and
large enough before anything runs.
"""

import enum
import json

Location = enum.Enum("Location", "DEVICE HOST")
Type = enum.Enum("Type", "FLOAT HALF BF16 INT64 UINT8")
Strategy = enum.Enum("Strategy", "STATIC USER_MANAGED")
Specialization = enum.Enum("Specialization", "LAZY EAGER")
SCRATCH = 4096


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
