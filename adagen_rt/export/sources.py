"""Where the weight files of a recipe are published."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from adagen_rt.export.fields import FilePath
from adagen_rt.types import Spec

#: A hub's name of a repository.
REPOSITORY = r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$"


class Source(Spec):
    """Where one weight file is published: in a repository of a hub, or behind a link.

    Attributes:
        repository: The repository, as `owner/name`.
        path: The file's path in it; None for the name under `files`.
        revision: A branch, tag or commit of it.
        link: Where a person finds a file that no hub has.
        sha256: The file's SHA-256; None where nobody has said it.
    """

    repository: Annotated[str, Field(pattern=REPOSITORY)] | None = None
    path: FilePath | None = None
    revision: Annotated[str, Field(pattern=r"^[\w./-]{1,200}$")] = "main"
    link: Annotated[str, Field(pattern=r"^https://[!-~]{1,2000}$")] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.repository is None) == (self.link is None):
            raise ValueError("expected either a repository or a link")
        if self.link is not None and self.path is not None:
            raise ValueError("path: expected none with a link")
        return self
