"""edge: from a PyTorch fusion model to a Jetson-class board, and the runtime that keeps it running there.

Importing this package loads neither torch nor an engine; every heavy import waits for the call that needs it.
"""

from pkgutil import extend_path

# Lets a script started inside a checkout find edge.compress, edge.calibration and edge.runtime too.
__path__ = extend_path(__path__, __name__)


def __getattr__(name: str) -> str:
    """`edge.__version__`, looked up when it is asked for: reading package metadata takes as long as `--help`."""
    if name != "__version__":
        raise AttributeError(f"module 'edge' has no attribute '{name}'")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("edge-fusion")
    except PackageNotFoundError:  # a bare checkout that was never installed
        return "0+unknown"
