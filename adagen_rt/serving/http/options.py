"""The sampling parameters as fields of a request's body, made of the rows of `SamplingParams`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from adagen_rt.sampling.params import ROWS, SCHEDULES, SamplingParams


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    negative_prompt: str | None = Field(
        None, description="What guidance leads away from, of an engine that takes prompts."
    )
    strict: bool = Field(
        False, description="Whether a prompt of more tokens than the engine reads is refused."
    )
    # Marked in the schema alone: `deprecated=True` would warn whenever the server reads it.
    static: bool | Literal["tuned"] | None = Field(
        None,
        description="An older form of schedule: true, or tuned.",
        json_schema_extra={"deprecated": True},
    )

    def wish(self, **given: Any) -> dict[str, Any]:
        """Return what an image is of, as arguments of `BatchEngine.submit`."""
        return {**given, "negative_prompt": self.negative_prompt, "strict": self.strict}

    def params(self) -> SamplingParams:
        """Return the sampling parameters alone, without an API's other fields."""
        given = {name: getattr(self, name) for name in ROWS}
        if self.static and given["schedule"] is None:
            given["schedule"] = "static" if self.static is True else self.static
        if given["size"] == "auto":  # as OpenAI's clients say it
            given["size"] = None
        return SamplingParams(**given)


def _field(name: str, default: Any) -> Any:
    """Declare one field for pydantic: its type, default, range and meaning."""
    row = ROWS[name]
    kind: Any = Literal[SCHEDULES] if row.choices else row.kind
    limits: dict[str, Any] = {"ge": row.low, "le": row.high} if row.kind is not str else {}
    declared = kind if default is not None else kind | None
    return declared, Field(default, description=row.text, **limits)


if TYPE_CHECKING:

    class Options(_Options):
        """Sampling parameters; every API takes them under the same names."""

        steps: int | None = None

else:
    Options = create_model(
        "Options",
        __base__=_Options,
        __doc__="How images are made; every API takes these under the same names.",
        **{option.name: _field(option.name, option.default) for option in fields(SamplingParams)},
    )
