"""The folders of published pipelines that the benchmark writes can be exported."""

import pytest

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from adagen_rt.export.diffusers import plan_pipeline

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_published_pipeline_with_fewer_layers(tmp_path):
    from diffusers_pipelines import write_folder

    write_folder("pixart-sigma", tmp_path / "pixart", layers=1, text_layers=2)
    plan = plan_pipeline(tmp_path / "pixart")
    assert plan.source.configuration("transformer").num_layers == 1
    assert plan.source.configuration("text_encoder").num_layers == 2
    assert plan.image == (1024, 1024)
    assert plan.sizes.largest == 2048
