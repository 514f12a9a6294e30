"""Each worker sees one GPU."""

import pytest

from adagen_rt.backends import Execution
from adagen_rt.bulk.devices import VISIBLE, read_devices, see_only
from adagen_rt.errors import InputError

TORCH = Execution(backend="torch")


@pytest.mark.parametrize(("text", "expected"), [(None, ()), ("0", (0,)), ("0, 3,1", (0, 3, 1))])
def test_numbers(text, expected):
    assert read_devices(text, TORCH) == expected


@pytest.mark.parametrize("text", ["", "0,0", "-1", "cuda:0", "0;1", "99999"])
def test_something_else(text):
    with pytest.raises(InputError, match="devices: got"):
        read_devices(text, TORCH)


@pytest.mark.parametrize(
    ("before", "device", "after"),
    [(None, 1, "1"), ("2,5", 1, "5"), ("GPU-a, GPU-b", 0, "GPU-a")],
)
def test_a_process_sees_one_of_those_that_it_saw(before, device, after):
    environment = {} if before is None else {VISIBLE: before}
    see_only(device, environment)
    assert environment[VISIBLE] == after


@pytest.mark.parametrize("before", ["", "0"])
def test_one_that_is_not_there(before):
    with pytest.raises(InputError, match="devices: got 1"):
        see_only(1, {VISIBLE: before})
