"""Packages like those that the emoji set is made of, with two emoji."""

import io
import json
import tarfile

from adagen_rt.data.emoji.packages import ARTWORK, CAPTIONS, PACKAGES
from adagen_rt.npm import archive_name

RED = '<path fill="#ff0000" d="M0 0h16v32H0z"/>'  # the left half
LICENCE = {"license": {"spdx": "MIT"}, "author": {"name": "Somebody"}}
ENTRIES = [
    {"label": "red half", "hexcode": "1F7E5-FE0F", "tags": ["red"], "group": 8},
    {
        "label": "waving hand",
        "hexcode": "1F44B",
        "group": 1,
        "skins": [
            {"label": "waving hand: dark skin tone", "hexcode": "1F44B-1F3FF", "tone": 5},
            {"label": "two hands", "hexcode": "1F44B-1F3FB-1F3FF", "tone": [1, 5]},
        ],
    },
    {"label": "dark skin tone", "hexcode": "1F3FF", "group": 2},
    {"label": "regional indicator A", "hexcode": "1F1E6"},
]
META = {"groups": {"1": "people-body", "2": "component", "8": "symbols"}}
CHARS = {"1f7e5": "half", "1f44b": "other-half", "1f44b-1f3ff": "gone"}
ICONS = {
    "width": 32,
    "height": 32,
    "icons": {"half": {"body": RED}},
    "aliases": {"other-half": {"parent": "half", "hFlip": True}},
}


def write_archive(folder, name, files):
    with tarfile.open(folder / archive_name(name, PACKAGES[name]), "w:gz") as archive:
        for file, content in files.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{file}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def write_packages(folder):
    write_archive(folder, CAPTIONS, {"en/data.json": ENTRIES, "meta/groups.json": META})
    for artwork in ARTWORK:
        table = {} if artwork.names_like else CHARS
        files = {"icons.json": ICONS, "info.json": LICENCE, "chars.json": table}
        write_archive(folder, artwork.package, files)
    return folder
