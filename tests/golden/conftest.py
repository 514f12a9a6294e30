"""Golden engines are exported once a session, whichever tests ask for them."""

from functools import cache

import pytest


@pytest.fixture(scope="session")
def golden_engine(tmp_path_factory):
    """Give `engine(recipe, wild=False, dtype="float32")`, cached."""
    pytest.importorskip("torch")
    from golden_data import POLICY_SCALE, WILD_POLICY_SCALE
    from once import engine_once

    from golden.engines import export_golden

    @cache
    def engine(recipe, wild=False, dtype="float32"):
        scale = WILD_POLICY_SCALE if wild else POLICY_SCALE
        name = f"golden-{recipe}-{dtype}{'-wild' * wild}"
        return engine_once(
            tmp_path_factory, name, lambda out: export_golden(recipe, out, scale, dtype)
        )

    return engine
