"""One plan at one set of shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adagen_rt.backends.base import DeviceTensor
from adagen_rt.backends.tensorrt.modules import last_errors
from adagen_rt.backends.tensorrt.profiles import Shapes
from adagen_rt.errors import InputError, PlanError

#: The manifest's names of the module's dtypes.
DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT64": "int64",
    "UINT8": "uint8",
}
#: Alignment of tensors in bytes.
ALIGNMENT = 256


class PlanGraph:
    """A device graph over its own execution context.

    Args:
        plan: The deserialised plan.
        context: A context without device memory.
        profile: Number of the optimisation profile.
        shapes: Shapes of the inputs, which are those of the profile.
        stream: CUDA stream on which the profile is selected and the graph is to run.
        errors: Errors that the module has logged; the list grows during use.

    Raises:
        PlanError: TensorRT refuses the profile, a shape, or to keep a tensor on the GPU.
    """

    def __init__(
        self,
        plan: Any,
        context: Any,
        profile: int,
        shapes: Shapes,
        stream: int,
        errors: Sequence[str],
    ) -> None:
        self._plan = plan
        self._context = context
        self._errors = errors
        self._expect(context is not None, "an execution context")
        self._expect(context.set_optimization_profile_async(profile, stream), f"profile {profile}")
        for name, shape in shapes.items():
            self._expect(context.set_input_shape(name, shape), f"{name} of shape {shape}")
        names = [plan.get_tensor_name(index) for index in range(plan.num_io_tensors)]
        self.inputs: Mapping[str, DeviceTensor] = {
            name: self._spec(name) for name in names if name in shapes
        }
        self.outputs: Mapping[str, DeviceTensor] = {
            name: self._spec(name) for name in names if name not in shapes
        }

    def set_scratch(self, address: int, size: int) -> None:
        """Set the memory for intermediate results, which other graphs may use in between."""
        self._context.set_device_memory(address, size)

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Set the device pointers of all inputs and outputs, once.

        TensorRT wants an address even for an empty tensor, such as the cache at VAR's first
        scale, and a different one for every tensor.

        Raises:
            InputError: A pointer is missing, unknown, 0 or not aligned, or two are the same.
            PlanError: TensorRT refuses a pointer.
        """
        for fault in _address_faults({**self.inputs, **self.outputs}, addresses):
            raise fault
        for name, address in addresses.items():
            self._expect(self._context.set_tensor_address(name, address), f"the address of {name}")

    def enqueue(self, stream: int) -> None:
        """Put the graph on a CUDA stream and return at once; can be captured after a first run.

        Raises:
            PlanError: TensorRT refuses to run the graph.
        """
        self._expect(self._context.execute_async_v3(stream), "to run")

    def _expect(self, accepted: bool, what: str) -> None:
        if not accepted:
            raise PlanError(f"TensorRT refuses {what}: {last_errors(self._errors)}")

    def _spec(self, name: str) -> DeviceTensor:
        location = self._plan.get_tensor_location(name).name
        if location != "DEVICE":
            raise PlanError(f"{name}: TensorRT keeps it on the {location}, expected the GPU")
        shape = tuple(int(size) for size in self._context.get_tensor_shape(name))
        return DeviceTensor(shape, DTYPES[self._plan.get_tensor_dtype(name).name])


def _address_faults(
    tensors: Mapping[str, DeviceTensor], addresses: Mapping[str, int]
) -> Iterator[InputError]:
    if addresses.keys() != tensors.keys():
        yield InputError("addresses", sorted(addresses), f"one for each of {sorted(tensors)}")
    for name, address in addresses.items():
        if not address or address % ALIGNMENT:
            yield InputError(
                f"addresses.{name}", address, f"a device pointer at a multiple of {ALIGNMENT}"
            )
    if len(set(addresses.values())) < len(addresses):
        yield InputError("addresses", dict(addresses), "a different one for each tensor")
