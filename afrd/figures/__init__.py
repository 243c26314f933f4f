"""Every figure and overlay: data in, a Plotly figure out; nothing is shown or saved here.

Maps are drawn in units of the run's own threshold, from 0 to 2, and never stretched per picture, so that good
parts stay dark and two methods can be compared by eye. The colours, and the opacity of a map over its picture, are
defined here once, also for the page.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
