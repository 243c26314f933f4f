"""The Gradio page."""

from afrd.page.gradio_import import leave_out_interface_files

leave_out_interface_files()  # here, as every module that imports Gradio lies below
