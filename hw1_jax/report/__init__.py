"""Report: from run folders to figures and one page."""

import os
import sys

# Figures are drawn without a backend. A command that a notebook's cell starts inherits the
# kernel's, which need not be installed here, and matplotlib would refuse to be imported.
if "ipykernel" not in sys.modules:
  os.environ.pop("MPLBACKEND", None)
