import json
import shutil

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_prompts import WORDS

import adagen_rt
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import EngineError, InputError, PromptWarning

GUIDANCE = ("classifier-free", "embedded", "none")
LONG = "a red cat sits under the sky on a blue bird"


@pytest.fixture(scope="module")
def load(prompt_engine):
    pipelines = {kind: adagen_rt.load(prompt_engine(kind), threads=1) for kind in GUIDANCE}
    return pipelines.__getitem__


@pytest.mark.parametrize("kind", GUIDANCE)
def test_rows_are_one_or_two_a_sample(load, kind):
    result = load(kind).generate(prompts=["a red cat", ""], seeds=[1, 2])
    assert not result.failures
    rows = 2 if kind == "classifier-free" else 1
    assert result.timings.backbone_rows == rows * 2 * 4
    first, second = result.images
    assert not np.array_equal(first, second)


TEXTS = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)


@pytest.mark.filterwarnings("ignore::adagen_rt.PromptWarning")
@pytest.mark.parametrize("kind", GUIDANCE)
@settings(max_examples=15, deadline=None)
@given(
    samples=st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 99)), min_size=2, max_size=5),
    batch=st.integers(1, 5),
    data=st.data(),
)
def test_neighbours_change_nothing(load, kind, samples, batch, data):
    pipeline, paired = load(kind), kind == "classifier-free"

    def generate(chosen, size):
        texts, negatives, seeds = zip(*chosen, strict=True)
        given = {"negative_prompts": negatives} if paired else {}
        return pipeline.generate(prompts=texts, seeds=seeds, batch_size=size, **given).images

    together = generate(samples, batch)
    order = data.draw(st.permutations(range(len(samples))))
    again = generate([samples[place] for place in order], len(samples))
    place = order[0]
    alone = generate([samples[place]], 1)[0]
    # Other shapes add up in another order (docs/exactness.md).
    np.testing.assert_allclose(again.astype(int), together[list(order)], rtol=0, atol=1)
    np.testing.assert_allclose(alone.astype(int), together[place], rtol=0, atol=1)
    # Equal shapes do not, whoever the neighbours are.
    strangers = [samples[place], *[("a bird", "", seed) for seed in range(len(samples) - 1)]]
    friends = [samples[place], *[samples[other] for other in order[1:]]]
    np.testing.assert_array_equal(
        generate(strangers, len(samples))[0], generate(friends, len(samples))[0]
    )


def test_a_negative_prompt_matters(load):
    pipeline = load("classifier-free")
    plain = pipeline.generate(prompts=["a cat"], seeds=[1]).images
    same = pipeline.generate(prompts=["a cat"], seeds=[1], negative_prompts="").images
    other = pipeline.generate(prompts=["a cat"], seeds=[1], negative_prompts=["dog"]).images
    np.testing.assert_array_equal(plain, same)
    assert not np.array_equal(plain, other)


def test_embedded_guidance_reaches_the_backbone(load):
    pipeline = load("embedded")
    schedule = pipeline.manifest.schedule
    spec = schedule.actions[1].model_copy(
        update={"static": schedule.actions[1].static.model_copy(update={"value": 4.0})}
    )
    sampler = pipeline.sampler
    stronger = sampler.assembly.under(
        schedule.model_copy(update={"actions": (schedule.actions[0], spec)})
    )
    from adagen_rt.sampling.request import make_request
    from adagen_rt.sampling.sampler import Sampler

    request = make_request(pipeline.manifest, ["a cat"], [1], options={"schedule": "static"})
    assert not np.array_equal(Sampler(stronger).run(request).images, sampler.run(request).images)


def test_what_is_cut_is_told_or_refused(load):
    pipeline = load("classifier-free")
    with pytest.warns(
        PromptWarning,
        match="prompt: 'under the sky on a blue bird' does not fit the 6 tokens of short",
    ):
        pipeline.generate(prompts=[LONG], seeds=[1])
    with pytest.raises(InputError, match=r"strict: .*expected prompts that fit"):
        pipeline.generate(prompts=[LONG], seeds=[1], strict=True)


def test_the_wrong_kind_of_engine(load, tiny_engine):
    with pytest.raises(InputError, match=r"labels: got \['a cat'\], expected prompts"):
        load("none").generate(["a cat"])
    with pytest.raises(InputError, match="prompts: got None, expected a list"):
        load("none").generate()
    with pytest.raises(InputError, match="prompts: got 'a cat', expected a list"):
        load("none").generate(prompts="a cat")
    with pytest.raises(InputError, match="prompts: got 'a cat', expected a list"):
        load("classifier-free").generate(prompts="a cat", negative_prompts="dog")
    with pytest.raises(InputError, match="prompts: got 0, expected an integer from 1"):
        load("none").generate(prompts=[])
    with pytest.raises(InputError, match=r"prompts: got \['a cat'\], expected labels and no"):
        adagen_rt.load(tiny_engine, threads=1).generate(prompts=["a cat"])


def test_judges_refine_score_and_choose(prompt_engine):
    pipeline = adagen_rt.load(prompt_engine(judges=True), threads=1)
    asked = {"prompts": ["a red cat", "a dog"], "seeds": [1, 2]}
    plain = pipeline.generate(**asked)
    for options in ({"refine": 3}, {"best_of": 4}, {"fidelity": [0.0, 1.0]}):
        both = pipeline.generate(**asked, **options)
        alone = pipeline.generate(
            prompts=asked["prompts"][1:],
            seeds=[2],
            **{**options, **({"fidelity": 1.0} if "fidelity" in options else {})},
        )
        np.testing.assert_array_equal(both.images[1], alone.images[0])
        assert not np.array_equal(both.images, plain.images)
    chosen = pipeline.generate(**asked, best_of=4)
    np.testing.assert_allclose(
        pipeline.score(chosen.images, prompts=asked["prompts"]), chosen.rewards
    )


@pytest.mark.parametrize("fault", ["altered", "missing", "unlisted"])
def test_tokenizers_are_part_of_the_engine(prompt_engine, tmp_path, fault):
    engine = shutil.copytree(prompt_engine(), tmp_path / "engine")
    file, manifest = engine / "words.json", engine / "manifest.json"
    if fault == "altered":
        file.write_text(file.read_text() + " ")
        told = "SHA-256"
    elif fault == "missing":
        file.unlink()
        told = "not a regular file"
    else:
        content = json.loads(manifest.read_text())
        del content["files"]["words.json"]
        manifest.write_text(json.dumps(content))
        told = r"condition: 'words\.json' has no entry in files"
    with pytest.raises(EngineError, match=told):
        open_engine(engine)


def test_a_missing_library_is_named(prompt_engine, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"pip install 'adagen-rt\[text\]'"):
        adagen_rt.load(prompt_engine(), threads=1)
