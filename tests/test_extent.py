"""Height and width as files have them."""

import pytest
from pydantic import TypeAdapter, ValidationError

from adagen_rt.extent import Extent, ExtentField

FIELD = TypeAdapter(ExtentField)


@pytest.mark.parametrize(
    ("given", "extent"), [(8, (8, 8)), ([8, 8], (8, 8)), ([8, 12], (8, 12)), ((1, 16384),) * 2]
)
def test_a_number_is_a_square_and_a_pair_is_height_and_width(given, extent):
    read = FIELD.validate_python(given)
    assert (read.height, read.width) == extent
    assert read.area == extent[0] * extent[1]
    assert FIELD.validate_json(FIELD.dump_json(read)) == read


def test_a_square_is_written_as_a_number():
    assert [FIELD.dump_json(Extent(*pair)) for pair in ((8, 8), (8, 12))] == [b"8", b"[8,12]"]
    assert [str(Extent(*pair)) for pair in ((8, 8), (8, 12))] == [
        "8 x 8",
        "8 x 12 (height x width)",
    ]


@pytest.mark.parametrize(
    "given", [0, -1, 16385, True, 8.0, "8", "8x12", None, [], [8], [8, 8, 8], [8, 0], [8, True]]
)
def test_anything_else_is_refused_in_one_line(given):
    with pytest.raises(ValidationError) as caught:
        FIELD.validate_python(given)
    [fault] = caught.value.errors()
    assert f"got {given!r}, expected 1 to 16384, or [height, width]" in fault["msg"]
