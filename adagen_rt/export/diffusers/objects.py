"""Files of JSON of a pipeline's folder, read before a library sees them.

The libraries take a file that is missing for the name of a repository, or fill in defaults.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adagen_rt.errors import RecipeError, shown


def read_object(path: Path, what: str) -> dict[str, Any]:
    """Read an object.

    Args:
        path: The file.
        what: What it is, for the error.

    Raises:
        RecipeError: There is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RecipeError(f"{path}: not a readable {what} ({reason})") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: not a readable {what} (got {shown(content)}, not an object)")
    return content
