"""The book: the notebooks as chapters, some pages of its own, and the package's reference."""

import sys
from pathlib import Path

import companion
from companion.lab.panel import BROWSER, SCRIPTS

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "companion"
author = "The companion authors"
copyright = author
release = companion.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.bibtex",
    "sphinx-mathjax-offline",
    "companion_book",
    "chapters",
    "panels",
    "reference",
    "reproduction",
    "costs",
    "counts",
]
exclude_patterns = ["_build", "_ext", "_static", "conf.py", "**/jupyter_execute", "**/*.ipynb"]

# Chapters are read from the notebooks' sources; their outputs come from the executed files.
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).parent / "_build" / ".jupyter_cache")
nb_execution_raise_on_error = True
nb_ipywidgets_js = {}  # the sliders are our own: no widget library is fetched
nb_merge_streams = True

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 2
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
nitpick_ignore_regex = [(r"py:.*", r"(?!(companion|figures)\.).*")]  # names of other packages

html_theme = "sphinx_book_theme"
html_title = "companion"
html_static_path = ["_static", str(BROWSER)]  # the panels are JupyterLab's
html_css_files = ["panel.css", "book.css"]
ours = [*(path.name for path in SCRIPTS), "page.js"]
html_js_files = [(name, {"defer": "defer"}) for name in ours]
html_domain_indices = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navigation_with_keys": False,
    "navbar_persistent": [],  # the sidebar has a search field already
}
