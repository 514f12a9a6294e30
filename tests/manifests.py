"""Damage to the manifest of an engine."""

import json

from adagen_rt.engine.folder import sha256


def edit_manifest(folder, change):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refresh_hashes(folder):
    """What an attacker who controls the whole folder would do too."""

    def change(content):
        content["files"] = {
            path.name: sha256(path)
            for path in folder.iterdir()
            if path.is_file() and path.name != "manifest.json"
        }

    edit_manifest(folder, change)
