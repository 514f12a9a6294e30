"""The tokens that `adagen-rt serve` accepts, of a file or the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from adagen_rt.cli.support.serve_options import MOST_COST, TOKEN_VARIABLE
from adagen_rt.errors import InputError, as_integer
from adagen_rt.serving.batching.caller import SHARES

if TYPE_CHECKING:
    from adagen_rt.serving.http.tokens import Token

#: A header carries visible ASCII; a client could not send any other token.
SECRET = re.compile(r"[!-~]{1,4096}")
NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
ONE_LINE = "one line of visible ASCII characters"


def read_tokens(path: Path | None) -> list[Token]:
    """Read the tokens of ``--token-file``, else of the environment, else none.

    A file has one token, or a line for each: ``name=NAME token=TOKEN``, and perhaps ``max-cost=N``
    and ``priority=N``.
    """
    from adagen_rt.serving.http.tokens import Token

    if path is None:
        text, source = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
        if text is None:
            return []
    else:
        text, source = path.read_bytes().decode("ascii", "replace"), "token-file"
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if path is not None and lines and all(_fields(line) for line in lines):
        tokens = [_token(f"{source}, line {i}", line) for i, line in enumerate(lines, 1)]
        for facts in ({token.name for token in tokens}, {token.secret for token in tokens}):
            if len(facts) < len(tokens):
                raise InputError(source, "the same twice", "different names and tokens")
        return tokens
    if not SECRET.fullmatch(text.strip()):
        expected = f"{ONE_LINE}, or lines of name=NAME token=TOKEN"
        raise InputError(source, "something else", expected if path else ONE_LINE)
    return [Token(text.strip())]


def _fields(line: str) -> dict[str, str]:
    """Split a line into its fields; nothing where it is no such line."""
    pairs = [word.partition("=") for word in line.split()]
    fields = {key: value for key, _, value in pairs}
    return fields if {"name", "token"} <= set(fields) and len(fields) == len(pairs) else {}


def _token(where: str, line: str) -> Token:
    from adagen_rt.serving.http.tokens import Token

    fields = _fields(line)
    name, secret = fields.pop("name"), fields.pop("token")
    cost, priority = fields.pop("max-cost", None), fields.pop("priority", "1")
    if fields:
        got, expected = next(iter(fields)), "name, token, max-cost, priority"
        raise InputError(where, got, expected)
    if not NAME.fullmatch(name):
        raise InputError(f"{where}, name", name, "letters, digits and . _ -")
    if not SECRET.fullmatch(secret):
        raise InputError(f"{where}, token", "something else", "visible ASCII characters")
    return Token(
        secret,
        name,
        None if cost is None else _number(f"{where}, max-cost", cost, MOST_COST),
        _number(f"{where}, priority", priority, max(SHARES)),
    )


def _number(field: str, text: str, high: int) -> int:
    known = text.isdecimal() and len(text) < 20
    return as_integer(field, int(text) if known else text, 1, high)
