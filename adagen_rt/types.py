"""Types that every part of the package shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Protocol, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)


class Array(Protocol):
    """An array of the array API standard, such as NumPy's or PyTorch's.

    Operators give arrays of the same namespace; they are typed as `Any`, because the standard
    has no static types.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of every axis."""

    @property
    def dtype(self) -> Any:
        """The namespace's own dtype."""

    @property
    def ndim(self) -> int:
        """Number of axes."""

    def __getitem__(self, key: Any, /) -> Array: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...
    def __int__(self) -> int: ...
    def __float__(self) -> float: ...
    def __add__(self, other: Any, /) -> Array: ...
    def __radd__(self, other: Any, /) -> Array: ...
    def __sub__(self, other: Any, /) -> Array: ...
    def __rsub__(self, other: Any, /) -> Array: ...
    def __mul__(self, other: Any, /) -> Array: ...
    def __rmul__(self, other: Any, /) -> Array: ...
    def __truediv__(self, other: Any, /) -> Array: ...
    def __floordiv__(self, other: Any, /) -> Array: ...
    def __mod__(self, other: Any, /) -> Array: ...
    def __pow__(self, other: Any, /) -> Array: ...
    def __and__(self, other: Any, /) -> Array: ...
    def __or__(self, other: Any, /) -> Array: ...
    def __xor__(self, other: Any, /) -> Array: ...
    def __lshift__(self, other: Any, /) -> Array: ...
    def __rshift__(self, other: Any, /) -> Array: ...
    def __lt__(self, other: Any, /) -> Array: ...
    def __le__(self, other: Any, /) -> Array: ...
    def __gt__(self, other: Any, /) -> Array: ...
    def __ge__(self, other: Any, /) -> Array: ...
    def __eq__(self, other: object, /) -> Any: ...
    def __ne__(self, other: object, /) -> Any: ...
    def __neg__(self) -> Array: ...
    def __invert__(self) -> Array: ...


#: How many there are of something that there has to be one of.
Size: TypeAlias = Annotated[int, Field(ge=1, le=1 << 24)]
#: How many times wider one thing is than another.
Ratio: TypeAlias = Annotated[float, Field(gt=0, le=64)]
#: Told, a line at a time, what happens next or was found.
Tell: TypeAlias = Callable[[str], object]
#: Arrays by name: the inputs or the outputs of a graph.
Arrays: TypeAlias = dict[str, Any]
#: Runs a graph: named arrays in, named arrays out.
Run: TypeAlias = Callable[[Arrays], Arrays]


class Session(Protocol):
    """A loaded graph: an ONNX Runtime session, an OpenVINO request or a PyTorch module."""

    def run(self, inputs: Arrays) -> Arrays:
        """Compute the outputs by name; they stay valid until the next call."""


class Spec(BaseModel):
    """Part of a parsed file: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    #: Fields that are written only where they are not the default: earlier versions refuse them.
    newer: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        for name in self.newer:
            if getattr(self, name) == type(self).model_fields[name].default:
                content.pop(name, None)
        return content
