"""What a model says of itself: the engine that it has, of which parts, and at which options."""

from __future__ import annotations

from importlib.metadata import version

from adagen_rt.engine.bundle import BundleFacts
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.manifest import Manifest
from adagen_rt.onegraph.bundle import BundleOptions


def bundle_facts(engine: EngineFolder, options: BundleOptions) -> BundleFacts:
    """Say what a model is; how exact it is, is measured when it is there."""
    params, manifest = options.params, bundled_manifest(engine.manifest, options)
    return BundleFacts(
        version=version("adagen-rt"),
        engine_hash=engine.hash,
        form=options.form,
        steps=params.steps,
        schedule=params.schedule,
        best_of=params.best_of,
        fidelity_input=options.fidelity_input,
        actions=manifest.schedule.names,
        steps_input=options.steps_input,
        dialect=options.dialect,
        checked={},
        manifest=manifest.model_dump(mode="json", exclude_none=True),
    )


def bundled_manifest(manifest: Manifest, options: BundleOptions) -> Manifest:
    """Describe what a model has of an engine: its schedule, its steps, the graphs that it runs."""
    params, schedule = options.params, manifest.schedule
    if params.schedule == "tuned":
        schedule = schedule.tuned_spec()
    schedule = schedule.model_copy(update={"steps": usual_steps(manifest, options), "tuned": None})
    dropped = {"critic"}
    dropped |= {"reward"} if params.best_of == 1 else set()
    dropped |= {"fidelity_policy"} if not options.fidelity_input else set()
    dropped |= {"policy", "fidelity_policy"} if params.schedule != "policy" else set()
    graphs = {name: graph for name, graph in manifest.graphs.items() if name not in dropped}
    return manifest.model_copy(update={"schedule": schedule, "graphs": graphs})


def usual_steps(manifest: Manifest, options: BundleOptions) -> int:
    """Return the number of steps of who asks for none: the model's, or the engine's own."""
    most, own = options.params.steps or 0, manifest.schedule.steps
    return min(own, most) if options.steps_input else most
