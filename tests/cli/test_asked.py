"""Lines of a file are what line feeds part."""

from adagen_rt.cli.support.asked import read_lines


def test_a_prompt_may_have_other_ends_of_lines(tmp_path):
    path = tmp_path / "asked.txt"
    path.write_bytes("a fox\u2028and a \x0bhen\r\ntwo\x1dcats\n".encode())
    assert read_lines("from", path) == ["a fox\u2028and a \x0bhen", "two\x1dcats"]
    path.write_bytes(b"one")
    assert read_lines("from", path) == ["one"]
