"""Hooks of mkdocs: the handbook also has pages outside docs/, and pages link to each other as in the repository.

A page of the navigation that is not in docs/ is read from its path in the repository. A link to a file that is no page
of the handbook becomes its text, because no address of the repository is known here.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(!?)\[([^\]\n]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the navigation that are elsewhere in the repository."""
    for path in _paths(config.nav):
        if not files.get_file_from_path(path) and (ROOT / path).is_file():
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Turn links that are right in the repository into those that are right in the handbook."""
    here = _in_repository(page.file)

    def rewritten(link: re.Match[str]) -> str:
        image, text, target, anchor = link.groups(default="")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
        found = files.get_file_from_path(path.removeprefix("docs/"))
        if found and _in_repository(found) == path:
            target = posixpath.relpath(found.src_uri, posixpath.dirname(page.file.src_uri) or ".")
            return f"{image}[{text}]({target}{anchor})"
        return text if (ROOT / path).exists() and "://" not in target else link[0]

    return LINK.sub(rewritten, markdown)


def on_post_page(output: str, **_: Any) -> str:
    """Give the theme's search dialog the name that it lacks."""
    return output.replace('role="dialog">', 'role="dialog" aria-label="Search">')


def _paths(nav: Any) -> list[str]:
    """The pages that a navigation names, at any depth."""
    if isinstance(nav, str):
        return [nav]
    return [path for entry in (nav.values() if isinstance(nav, dict) else nav) for path in _paths(entry)]


def _in_repository(file: File) -> str:
    return Path(file.abs_src_path or "").relative_to(ROOT).as_posix()
