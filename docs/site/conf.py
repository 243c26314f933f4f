"""Sphinx settings of the site with the course and the documentation; `make site` copies this beside its sources."""

from __future__ import annotations

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

project = "AFRD explorer"
html_title = project
language = "en"
extensions = ["myst_nb", "sphinx_design", "sphinx.ext.githubpages"]
exclude_patterns = ["_build"]
nb_execution_mode = "off"  # the notebooks are executed
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]
smartquotes = False  # `--option` stays as it is written
html_theme = "furo"
html_static_path = ["_static"]
html_js_files = ["figures.js"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
pygments_dark_style = "github-dark"
html_math_renderer = "mathml"


def inline_formula(writer, node: nodes.math) -> None:  # type: ignore[no-untyped-def]
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def formula(writer, node: nodes.math_block) -> None:  # type: ignore[no-untyped-def]
    writer.body.append(f'<div class="formula">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Formulas become MathML, which browsers draw themselves: MathJax would come from another machine."""
    app.add_html_math_renderer("mathml", (inline_formula, None), (formula, None))
