"""Pages of the site, for MkDocs: files of the repository under the paths that they have there.

So a link between two pages is right on the site and in the checkout alike.
"""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

#: Pages, and what they show or link to.
PATTERNS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "docs/*.md",
    "docs/*.ipynb",
    "docs/images/**/*.png",
    "benchmarks/results/*.md",
    "benchmarks/results/*.jsonl",
)


@event_priority(100)  # before the plugin that looks for notebooks among them
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the repository's files in the place of those of MkDocs's one folder."""
    root = Path(config.config_file_path).parent
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    for path in (path for pattern in PATTERNS for path in sorted(root.glob(pattern))):
        name = path.relative_to(root).as_posix()
        files.append(File(name, str(root), config.site_dir, config.use_directory_urls))
    return files
