"""Imports matplotlib without the settings of whoever filled the working directory; to be imported before it.

matplotlib reads a `matplotlibrc` in the working directory before the user's own. That may turn on TeX, with a preamble
of its choice, and before matplotlib 3.11 has expressions in it evaluated: no file to take from somebody's run.
"""

import os
import sys
from contextlib import chdir, suppress

if "matplotlib" not in sys.modules:
    with suppress(OSError), chdir(os.path.abspath(os.sep)):  # the working directory may have been deleted
        import matplotlib  # noqa: F401
