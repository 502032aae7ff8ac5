"""edge: from a PyTorch fusion model to a Jetson-class board, and the runtime that keeps it running there.

Importing this package loads neither torch nor an engine; every heavy import waits for the call that needs it.
"""

from importlib.metadata import PackageNotFoundError, version
from pkgutil import extend_path

# Lets a script started inside a checkout find edge.compress, edge.calibration and edge.runtime too.
__path__ = extend_path(__path__, __name__)

try:
    __version__ = version("edge-fusion")
except PackageNotFoundError:  # a bare checkout that was never installed
    __version__ = "0+unknown"
