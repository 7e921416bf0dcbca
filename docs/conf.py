"""Sphinx builds docs/ as a site: `make docs`, or rosdoc2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = 'microexpr_ros'
author = 'microexpr_ros maintainers'
copyright = author  # noqa: A001

extensions = ['myst_parser']
html_theme = 'furo'
html_title = project

# Headings are anchors, named as code hosts name them, so that links work in both places.
myst_heading_anchors = 4

# On a code host, links lead to these files; on the site, to the pages that are links to them.
PAGES = {
    r'\.\./CONTRIBUTING\.md': 'contributing',
    r'\.\./CHANGELOG\.rst': 'changelog',
    r'\.\./microexpr_ros/perception/weights/README\.md': 'model-card',
    r'docs/(\w+)\.md': r'\2',  # links of CONTRIBUTING.md
}


def lead_to_pages(app: Sphinx, name: str, source: list[str]) -> None:
    """Let links to files that are pages of the site lead to those pages."""
    for file, page in PAGES.items():
        source[0] = re.sub(rf'\[([^\]]+)\]\({file}\)', rf'{{doc}}`\1 <{page}>`', source[0])


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.connect('source-read', lead_to_pages)
