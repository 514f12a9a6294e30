"""Prompts in the batch engine."""

import threading

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from adagen_rt import load
from adagen_rt.errors import InputError
from adagen_rt.serving import BatchEngine

TEXTS = ("", "a red cat", "a dog runs on the sky", "a blue bird flies under the green sky")


@pytest.fixture(scope="module", params=["classifier-free", "embedded"])
def pipeline(prompt_engine, request):
    return load(prompt_engine(request.param), threads=1)


class Encoder:
    """A text encoder that notes when it runs among the backbone's steps."""

    def __init__(self, sessions):
        self.seen = []
        self._condition, self._backbone = sessions["condition"], sessions["backbone"]
        sessions["condition"], sessions["backbone"] = self, Noting(self._backbone, self.seen)

    def run(self, inputs):
        self.seen.append("text")
        return self._condition.run(inputs)


class Noting:
    def __init__(self, graph, seen):
        self._graph, self._seen = graph, seen

    def run(self, inputs):
        self._seen.append(len(inputs["x"]))
        return self._graph.run(inputs)


@pytest.mark.filterwarnings("ignore::adagen_rt.PromptWarning")
def test_lengths_share_a_batch_and_change_nothing(pipeline):
    expected = [pipeline.generate(prompts=[text], seeds=[i]) for i, text in enumerate(TEXTS)]
    under_way = threading.Event()
    with BatchEngine(pipeline, max_batch=4) as engine:
        first = engine.submit(None, 0, prompt=TEXTS[0], watch=lambda progress: under_way.set())
        assert under_way.wait(30)
        jobs = [first]
        jobs += [engine.submit(seed=i, prompt=TEXTS[i]) for i in range(1, len(TEXTS))]
        images = [job.result(60) for job in jobs]
    for image, result, text in zip(images, expected, TEXTS, strict=True):
        assert image.prompt == text
        np.testing.assert_allclose(image.pixels.astype(int), result.images[0], rtol=0, atol=1)


def test_texts_are_encoded_between_the_steps_of_others(prompt_engine):
    pipeline = load(prompt_engine(), threads=1)
    encoder = Encoder(pipeline.sampler.assembly.sessions)
    with BatchEngine(pipeline, max_batch=4) as engine:
        encoder.seen.clear()
        with pipeline.turn:  # all are there before the thread looks
            jobs = [engine.submit(seed=i, prompt=text) for i, text in enumerate(TEXTS[1:])]
        for job in jobs:
            job.result(60)
    # The empty text is known from the first run; no two others come in a row.
    assert encoder.seen.count("text") == 3
    pairs = list(zip(encoder.seen, encoder.seen[1:], strict=False))
    assert ("text", "text") not in pairs
    assert max(rows for rows in encoder.seen if rows != "text") > 2


def test_an_engine_of_prompts_says_what_it_takes(pipeline, tiny_engine):
    with BatchEngine(pipeline) as engine:
        for given, told in (
            ({"label": 1}, "label: got 1, expected prompts and no labels"),
            ({}, "prompt: got None, expected a text"),
            ({"prompt": b"a"}, "prompt: got b'a', expected a text"),
            ({"prompt": "a\0"}, r"prompt: got 'U\+0000 at character 2'"),
            ({"prompt": TEXTS[3], "strict": True}, "strict: got"),
        ):
            with pytest.raises(InputError, match=told):
                engine.submit(**given)
    with BatchEngine(tiny_engine, threads=1) as engine:
        with pytest.raises(InputError, match="prompt: got 'a', expected labels and no prompts"):
            engine.submit(prompt="a")
        with pytest.raises(InputError, match="label: got None, expected one of 3 classes"):
            engine.submit()
