"""The contract of a family of generators, and the registry that finds families.

A family is a folder: the package's own are in `adagen_rt/families`, others register themselves
under the entry point group `adagen_rt.families`. Nothing that is common to families imports one
of them; they are found by the name that a manifest or a recipe has.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, ClassVar

from adagen_rt.condition import ConditionSpec, Guidance
from adagen_rt.engine.contracts import GraphContract, contract, optional_contracts
from adagen_rt.engine.schedule import STOP, Ending, ScheduleSpec
from adagen_rt.errors import MissingExtraError
from adagen_rt.extent import Extent
from adagen_rt.types import Run, Session, Spec

if TYPE_CHECKING:
    from adagen_rt.export.model import FamilyModel
    from adagen_rt.ops import Ops
    from adagen_rt.program.program import Program
    from adagen_rt.program.setting import Setting
    from adagen_rt.sampling.rule import NoiseSource, StepRule

GROUP = "adagen_rt.families"
#: A policy is asked at the first of the calls and at a later one, or it need not be a network.
MIN_CALLS = 2
#: Folders of the package's own families, by the names that manifests have for them.
BUILT_IN = {
    "maskgit": "maskgit",
    "var": "var",
    **dict.fromkeys(("dit", "sit", "diffusion", "flow"), "diffusion"),
}


class FamilySpec(Spec):
    """The section `family` of a manifest: a family's name and sizes, and facts that follow.

    Attributes:
        family: The family's name.
        actions: Names of the actions that its step rule reads.
        seen: Inputs of policies and critic, besides the index of the call.
        mixes_steps: Whether slots at different steps can share a batch.
        prediction_limit: Largest error of the backbone's outputs in an engine with integer
            weights: root mean square of the difference over the outputs' standard deviation.
        generation_limit: Largest error of whole generations of an engine with integer weights:
            root mean square of the difference over the deviation between samples, which are 1.4
            apart if they are unrelated. A token that flips changes all that follow.
        guidances: Ways of guidance that its step rule knows.
        sizeable: Tensors by ``graph.tensor`` whose last two axes are open in an engine of several
            sizes; none where the family has one size.
        reuses: Whether the backbone's outputs change so smoothly that the last two can take the
            place of an evaluation.
    """

    family: str
    actions: ClassVar[tuple[str, ...]]
    seen: ClassVar[str] = "features"
    mixes_steps: ClassVar[bool] = True
    prediction_limit: ClassVar[float] = math.inf
    generation_limit: ClassVar[float] = 0.7
    guidances: ClassVar[tuple[Guidance, ...]] = ("classifier-free", "none")
    sizeable: ClassVar[tuple[str, ...]] = ()
    reuses: ClassVar[bool] = False

    @property
    def feature_map(self) -> Extent:
        """Height and width of the feature map that policies see."""
        raise NotImplementedError

    @property
    def ending(self) -> Ending | None:
        """Action and value that make a step a sample's last; None where all are needed."""
        return None

    def action_names(self, schedule: ScheduleSpec) -> tuple[str, ...]:
        """List the actions that a schedule of the family has."""
        return (*self.actions, STOP) if schedule.stopping else self.actions

    def schedule_faults(self, schedule: ScheduleSpec) -> Iterator[str]:
        """Describe what of a schedule the family cannot follow."""
        if schedule.stopping and self.ending is None:
            yield f"schedule.stopping: got true, expected false: {self.family} needs every step"
        expected = self.action_names(schedule)
        if sorted(schedule.names) != sorted(expected):
            names = ", ".join(schedule.names)
            yield f"schedule.actions: got {names}, expected {', '.join(expected)}"

    def calls(self, steps: int) -> int:
        """Count the policy calls of a generation of so many evaluations."""
        return steps

    def check_steps(self, steps: int) -> str | None:
        """Describe the expected number of evaluations if ``steps`` is not one, else None."""
        return None

    def check_policy_steps(self, steps: int) -> str | None:
        """Describe the expected number where a policy is trained for ``steps``, else None."""
        if self.calls(steps) < MIN_CALLS:
            return f"at least {MIN_CALLS}"
        return self.check_steps(steps)

    def own_contracts(self) -> dict[str, GraphContract]:
        """List the graphs that the family cannot do without, condition aside."""
        raise NotImplementedError

    def contracts(
        self, condition: ConditionSpec, outputs: Iterable[str] = ()
    ) -> dict[str, GraphContract]:
        """List all graphs of an engine under a kind of condition.

        A graph `condition` computes the backbone's inputs from the condition; without one, the
        backbone reads the condition's own arrays.

        Args:
            condition: The kind of condition.
            outputs: Outputs of the engine's graph `condition`, where the family does not say.
        """
        own, asked = self.own_contracts(), tuple(condition.tensors)
        graph = own.get("condition") or contract("", " ".join(outputs), optional=True)
        graph = GraphContract(asked, graph.outputs, graph.axes, graph.optional)
        backbone = own["backbone"]
        given = graph.outputs or asked
        scale = ("guidance",) if condition.guidance == "embedded" else ()
        inputs = (*backbone.inputs, *scale, *given)
        fed = GraphContract(inputs, backbone.outputs, backbone.axes)
        others = optional_contracts(f"{self.seen} step", asked)
        return {**own, "condition": graph, "backbone": fed, **others}

    def sizes_of_tensors(self) -> dict[str, tuple[int | None, ...]]:
        """Give the sizes that follow from the fields, by ``graph.tensor``; None for any size."""
        return {}

    def at(self, own: Extent, size: Extent) -> FamilySpec:
        """Copy it for images of another size.

        Args:
            own: Size of the engine's images.
            size: The other one.
        """
        raise NotImplementedError

    @property
    def patches(self) -> int:
        """Count the patches of an image, on which static schedules may depend."""
        raise NotImplementedError

    def counts_per_image(self, steps: int, rows: int = 2) -> dict[str, int]:
        """Count how often each graph's operations are spent on one image.

        Args:
            steps: Backbone evaluations.
            rows: Rows of a sample in each of them.
        """
        often = {"backbone": rows * steps, "policy": self.calls(steps)}
        return {**often, "condition": rows, "decoder": 1}

    def sizes(self, rows: int) -> Iterator[dict[str, int]]:
        """List the sizes of the graphs' dynamic axes, one entry a set of shapes that occurs."""
        yield {"rows": rows}


class Family(ABC):
    """A family as the registry finds it.

    The module that a name leads to has an instance, `FAMILY`.

    Attributes:
        Spec: Its section of a manifest.
    """

    Spec: type[FamilySpec]

    @abstractmethod
    def rule(
        self,
        spec: Any,
        steps: int,
        ops: Ops,
        noise: NoiseSource,
        sessions: Mapping[str, Session],
    ) -> StepRule[Any]:
        """Make the step rule at a number of evaluations.

        Args:
            spec: The manifest's section.
            steps: Backbone evaluations.
            ops: Implementation of the numeric steps.
            noise: Gives the noise of a step.
            sessions: The engine's graphs, of which a rule may run some itself.
        """

    def backbone(self, spec: Any, condition: ConditionSpec, run: Run) -> Run:
        """Wrap the backbone, where a family knows some of its outputs beforehand."""
        return run

    def program(self, setting: Setting) -> Program | None:
        """Build the device program of a whole generation; None where a family has none."""
        return None

    def model(self) -> FamilyModel:
        """Load the half that needs PyTorch: networks, export plan, training task."""
        raise MissingExtraError(f"the PyTorch half of {type(self).__name__}", "torch")


@cache
def find_family(name: str) -> Family:
    """Find a family by name.

    Raises:
        ValueError: No family has the name; the message lists the installed families.
    """
    if name in BUILT_IN:
        family: Family = import_module(f"adagen_rt.families.{BUILT_IN[name]}").FAMILY
        return family
    for entry in metadata.entry_points(group=GROUP, name=name):
        loaded = entry.load()
        return getattr(loaded, "FAMILY", loaded)  # type: ignore[no-any-return]
    raise ValueError(f"got {name!r:.80}, expected one of {', '.join(family_names())}")


def family_names() -> Iterable[str]:
    """List the names of all families that are installed."""
    return (*BUILT_IN, *sorted(entry.name for entry in metadata.entry_points(group=GROUP)))
