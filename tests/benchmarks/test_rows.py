"""The benchmark of rows and operators."""

from __future__ import annotations

import json

from click.testing import CliRunner


def test_both_ways_are_timed_and_give_the_same_images(tiny_engine):
    from rows import main

    given = [str(tiny_engine), "--threads", "1,2", "--batch", "3", "--repeats", "2"]
    done = CliRunner().invoke(main, given, catch_exceptions=False)
    results = json.loads(done.output.splitlines()[-1])["results"]
    assert [row["threads"] for row in results] == [1, 2]
    assert all(row["largest_error"] <= 1 for row in results)
    assert all(row["times_as_fast"] > 0 for row in results)
