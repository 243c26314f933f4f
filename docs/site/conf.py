"""Sphinx settings of the site with the course and the documentation; `make site` copies this beside its sources."""

project = "AFRD explorer"
html_title = project
extensions = ["myst_nb", "sphinx_design"]
exclude_patterns = ["_build"]
nb_execution_mode = "off"  # the notebooks are executed
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]
html_theme = "furo"
html_static_path = ["_static"]
html_js_files = ["figures.js"]
html_css_files = ["site.css"]
html_copy_source = False
