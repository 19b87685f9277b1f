"""How Sphinx makes the site of these pages: ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE / "_ext")]

from pipeline import __version__  # noqa: E402 (found on the path from here on)

project = "Tuningfork"
version = release = __version__
project_copyright = "the authors; BSD 3-Clause"

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    # of this project, in _ext
    "catalogue_columns",
    "command_line",
    "constants",
    "crosswalks",
    "own_names",
    "repository_pages",
    "settings",
]
exclude_patterns = ["_ext"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

# The rooms' public names, in the order in which `__all__` has them.
autodoc_default_options = {
    "members": True,
    "imported-members": True,
    "member-order": "bysource",
    "exclude-members": "model_config",  # pydantic's
}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
default_role = "py:obj"  # `name` in a docstring links to that name where it has an entry

# A reference that leads nowhere is a warning, and a warning fails the build; not so for other people's names.
nitpicky = True

html_theme = "pydata_sphinx_theme"
html_title = "Tuningfork"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {"index": [], "tutorial/*": [], "contributing": []}  # pages without neighbours
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "Tuningfork"},
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "show_prev_next": True,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
