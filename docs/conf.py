"""The documentation site: the pages of this folder, and the reference from docstrings.

pip install ".[docs]" && python -m sphinx -W --keep-going -b html docs build/docs
"""

import re
from pathlib import Path

import latchwork

project, author = "latchwork", "the latchwork authors"
version = release = latchwork.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"latchwork {release}"
html_copy_source = html_show_sourcelink = html_show_copyright = False
smartquotes = False  # c' is a name
highlight_language = "none"  # equations and trees stand in blocks without a language

myst_heading_anchors = 3  # links to headings are checked

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say shapes and dtypes; numpy's unions would hide the arguments
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
default_role = "code"  # docstrings have Markdown's `name`


def as_text(app, what, name, obj, options, lines):
    """Docstrings are written to be read as text: what reStructuredText would read as markup is escaped."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(`[^`]*`)", line)
            parts[::2] = [re.sub(r"([|*]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
            lines[i] = "".join(parts)


def without_links_outside(folder, site, text):
    """The pages also lead to files of the repository, which the site has not: there they are words."""

    def shown(link):
        target = (folder / link[2]).resolve()
        return link[0] if re.match("https?:|#", link[2]) or target.is_relative_to(site) else link[1]

    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)]*)\)", shown, text)


def page_read(app, page, source):
    source[0] = without_links_outside(Path(app.srcdir, page).parent, Path(app.srcdir), source[0])


def include_read(app, path, page, source):
    source[0] = without_links_outside(Path(app.srcdir, path).parent, Path(app.srcdir), source[0])


def setup(app):
    app.connect("source-read", page_read)
    app.connect("include-read", include_read)
    app.connect("autodoc-process-docstring", as_text, priority=0)  # before napoleon, which adds markup of its own
