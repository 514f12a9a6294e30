"""Pages of the site, for MkDocs: files of the repository under the paths that they have there.

So a link between two pages is right on the site and in the checkout alike.
"""

import logging
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

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
_log = logging.getLogger("mkdocs.hooks.site")


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


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead a notebook's links to pages; MkDocs does it for Markdown alone."""
    here = PurePosixPath(page.file.src_uri)
    if here.suffix != ".ipynb":
        return html

    def lead(link: re.Match[str]) -> str:
        target = files.get_file_from_path(str(here.parent / link[1]))
        if target is None:
            _log.warning("%s has a link to %s, which is no page", here, link[1])
            return link[0]
        return f'href="{target.url_relative_to(page.file)}'

    return re.sub(r'href="([^":]+\.md)\b', lead, html)
