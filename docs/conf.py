"""Sphinx builds docs/ as a site: `make docs`."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = 'microexpr_ros'
author = 'microexpr_ros maintainers'
copyright = '2026, microexpr_ros maintainers'  # noqa: A001

extensions = ['myst_parser']
exclude_patterns = ['_build']
html_theme = 'furo'
html_title = project

# Headings are anchors, named as code hosts name them, so that links work in both places.
myst_heading_anchors = 4

# Files outside docs/ that are pages of the site: on a code host the links lead to the files.
PAGES = {
    '../CONTRIBUTING.md': 'contributing.md',
    '../CHANGELOG.rst': 'changelog.rst',
    '../microexpr_ros/perception/weights/README.md': 'model-card.md',
}


def link_to_pages(app: object, name: str, source: list[str]) -> None:
    """Let links to files that are pages lead to the pages."""
    for file, page in PAGES.items():
        source[0] = source[0].replace(f']({file}', f']({page}')


def setup(app: object) -> None:
    """Connect to Sphinx."""
    app.connect('source-read', link_to_pages)  # type: ignore[attr-defined]
