"""The project's errors: one small tree, each message says what is wrong, where, and what to do next."""


def first_line(error: BaseException) -> str:
    """What another library's exception says, in one line of at most 300 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


class EdgeError(Exception):
    """Base of all errors that a user can cause and mend.

    Args:
        problem: What is wrong and where (a file, a key, a stream), without a final stop.
        remedy: What to do next, as a short imperative.
    """

    exit_code = 2

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class ConfigError(EdgeError):
    """A configuration file, a key in it, or a command-line value is wrong."""


class RigError(ConfigError):
    """The sensor rig is incomplete or contradicts itself."""


class DeviceError(ConfigError):
    """A device or JetPack is unknown, its file is malformed, or the two do not go together."""


class FaultError(ConfigError):
    """A fault that is to be injected is malformed, or of a stream that the source does not have."""


class SourceError(EdgeError):
    """A recording or a live source is missing, truncated or of another kind than said."""


class SampleError(EdgeError):
    """A sample's payload has the wrong shape, type or content for what it is used for.

    Attributes:
        reason: What it is counted under where a run goes on without the sample.
    """

    reason = "unusable"


class TextTooLongError(SampleError):
    """A text has more tokens than the model takes, and is not to be cut."""

    reason = "too_long"


class BundleError(EdgeError):
    """A bundle is incomplete, altered, of another schema, or does not fit what it is asked to do."""


class ModelError(EdgeError):
    """A model does not export, load or accept the inputs it is given."""


class DataError(EdgeError):
    """A dataset or calibration set is empty, mixed up or leaks between splits."""


class MissingDependencyError(EdgeError):
    """An optional package or device that this call needs is absent."""


class RunError(EdgeError):
    """A thread of a live run has failed; the cause is the exception's `__cause__`."""


class GateError(EdgeError):
    """A gate or check refused: the work is well-formed, but its result is not good enough."""

    exit_code = 3
