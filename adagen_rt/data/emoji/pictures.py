"""Artwork as pixels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from adagen_rt.data.emoji.captions import plain_code
from adagen_rt.data.emoji.packages import Artwork, Package
from adagen_rt.errors import InputError, needs_extra
from adagen_rt.sampling.result import Images

#: Pixels rendered for one, across and down: the edges of clipped artwork are not smooth otherwise.
OVERSAMPLING = 4


class Pictures:
    """The pictures of one style.

    Args:
        artwork: The style.
        package: Its package.
        names: The table from code points to names of icons.
    """

    def __init__(self, artwork: Artwork, package: Package, names: dict[str, str]) -> None:
        self.style, self.package = artwork.style, package
        self._icons, info = package.read("icons.json", "info.json")
        self.licence, self.author = info["license"]["spdx"], info["author"]["name"]
        known = self._icons["icons"].keys() | self._icons.get("aliases", {}).keys()
        self.names = {plain_code(code): name for code, name in names.items() if name in known}

    def source(self, code: str) -> str:
        """Name where a picture comes from: package, version and icon."""
        return f"{self.package.name}@{self.package.version}/{self.names[code]}"

    def svg(self, code: str) -> str:
        """Return an emoji's picture as SVG text."""
        body, width, height = self._drawing(self.names[code])
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}">{body}</svg>'
        )

    def _drawing(self, name: str) -> tuple[str, int, int]:
        """Return an icon's body and size; an alias is another icon, mirrored or not."""
        icons, aliases = self._icons["icons"], self._icons.get("aliases", {})
        if name in icons:
            icon = icons[name]
            size = (icon.get(side, self._icons.get(side, 16)) for side in ("width", "height"))
            return icon["body"], *size
        alias = aliases[name]
        body, width, height = self._drawing(alias["parent"])
        return _mirror(body, width, height, alias), width, height


def open_pictures(artwork: Artwork, packages: dict[str, Package]) -> Pictures:
    """Open a style's pictures."""
    (names,) = packages[artwork.names_like or artwork.package].read("chars.json")
    return Pictures(artwork, packages[artwork.package], names)


def render(svg: str, size: int) -> Images:
    """Render SVG text on white.

    Args:
        svg: A drawing; one that is not square is in the middle.
        size: Side of the picture in pixels.

    Returns:
        (size, size, 3) uint8.

    Raises:
        InputError: It is no SVG.
        MissingExtraError: The renderer is not installed.
    """
    from PIL import Image

    with needs_extra("data", "resvg_py"):
        import resvg_py
    side = size * OVERSAMPLING
    # No font: a picture must not depend on the machine's.
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=svg, width=side, height=side, background="#ffffff", skip_system_fonts=True
        )
    except ValueError as error:
        raise InputError("svg", f"{svg[:60]}...", f"a drawing ({error})") from None
    canvas = Image.new("RGB", (side, side), "#ffffff")
    with Image.open(io.BytesIO(png)) as picture:
        left, top = (side - picture.width) // 2, (side - picture.height) // 2
        canvas.paste(picture.convert("RGB"), (left, top))
    return np.array(canvas.reduce(OVERSAMPLING))


def _mirror(body: str, width: int, height: int, alias: dict[str, Any]) -> str:
    across, down = bool(alias.get("hFlip")), bool(alias.get("vFlip"))
    if not across and not down:
        return body
    shift = f"translate({width * across} {height * down})"
    return f'<g transform="{shift} scale({-1 if across else 1} {-1 if down else 1})">{body}</g>'
