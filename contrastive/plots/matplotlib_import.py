"""Imports matplotlib without the settings of whoever filled the working directory; to be imported before it.

matplotlib reads a `matplotlibrc` in the working directory before the user's own. That may turn on TeX, with a preamble
of its choice, and before matplotlib 3.11 has expressions in it evaluated: no file to take from somebody's run.
"""

import os
import sys
from contextlib import chdir, suppress

from contrastive.errors import missing_extra

if sys.modules.get("matplotlib") is None:
    try:
        with suppress(OSError), chdir(os.path.abspath(os.sep)):  # the working directory may have been deleted
            import matplotlib  # noqa: F401
    except ImportError as error:
        raise missing_extra("plots and reports need", "report", error) from error
