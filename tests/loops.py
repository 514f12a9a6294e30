"""Loops for tests that go step by step themselves."""

import numpy as np

from adagen_rt.sampling.params import SamplingParams


def make_loop(pipeline, fidelity=None, **options):
    """A loop under these options; `fidelity` is each sample's share of the fidelity policy."""
    params = SamplingParams(**options).check(pipeline.manifest)
    return pipeline.sampler.loop(params, fidelity)


def begin(loop, labels, seeds):
    """The state of fresh samples, and the decisions made before their first evaluation."""
    return loop.start(np.arange(len(labels)), {"labels": np.array(labels)}, np.array(seeds))
