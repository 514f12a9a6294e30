"""Bounds on what an inference message contains, counted before anything parses it.

A parser makes an object of each of a million empty fields, and holds everything else up meanwhile.
"""

from __future__ import annotations

from adagen_rt.errors import InputError

#: Fields of one message, those of the messages in it included.
MAX_FIELDS = 2048
#: Fields that are messages, whose fields count too, by kind of message.
NESTED: dict[str, dict[int, str]] = {
    "request": {4: "entry", 5: "input", 6: "output"},
    "input": {4: "entry", 5: "contents"},
    "output": {2: "entry"},
    "entry": {2: "value"},
}
#: Bytes that a number may have.
MAX_NUMBER = 10
#: Bytes of the fields that have no length of their own, by wire type.
FIXED = {1: 8, 5: 4}
LENGTH, NUMBER = 2, 0


def check_fields(data: bytes) -> None:
    """Refuse an inference request with more fields than any needs.

    Raises:
        InputError: There are too many, or it is none.
    """
    count, open_parts = 0, [(0, len(data), "request")]
    while open_parts:
        place, end, kind = open_parts.pop()
        nested = NESTED.get(kind, {})
        while place < end:
            count += 1
            if count > MAX_FIELDS:
                raise InputError("message", f"more than {MAX_FIELDS} fields", "a few")
            tag, place = _number(data, place, end)
            number, wire = tag >> 3, tag & 7
            size = FIXED.get(wire, 0)
            if wire in (NUMBER, LENGTH):
                value, place = _number(data, place, end)
                size = value if wire == LENGTH else 0
            elif wire not in FIXED:
                raise _damaged()
            if wire == LENGTH and number in nested:
                open_parts.append((place, min(place + size, end), nested[number]))
            place += size
        if place > end:
            raise _damaged()


def _number(data: bytes, place: int, end: int) -> tuple[int, int]:
    """Read a number of seven bits a byte; return it and the place after it."""
    value = 0
    for shift in range(MAX_NUMBER):
        if place >= end:
            break
        byte = data[place]
        place += 1
        value |= (byte & 127) << (7 * shift)
        if byte < 128:
            return value, place
    raise _damaged()


def _damaged() -> InputError:
    return InputError("message", "something else", "what the protocol has for this call")
