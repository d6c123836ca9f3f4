"""The few errors that users meet. The command line turns each into one line and an exit code."""

EXIT_OK = 0
EXIT_EXPECTED = 1
EXIT_USAGE = 2
EXIT_INCOMPLETE = 3
EXIT_UNVERIFIED = 4
EXIT_BUG = 70
EXIT_INTERRUPTED = 130


class ForensicsError(Exception):
    """An expected failure. The message is one line: what is wrong, then what to do about it."""

    exit_code = EXIT_EXPECTED


class FootageError(ForensicsError):
    """Footage could not be found, opened or decoded."""


class CascadeError(ForensicsError):
    """A cascade file, or a model that it names, cannot be used."""


class BackendError(ForensicsError):
    """An inference engine is missing, or refused a model or a batch."""


class RunLogError(ForensicsError):
    """A run folder is damaged, locked, from another version, or made with other settings."""


class TruthError(ForensicsError):
    """Truth labels cannot be read, or do not fit the run."""


class TrainingError(ForensicsError):
    """Training data, or a training run, cannot be used."""


class VerificationError(ForensicsError):
    """Something that was recorded no longer hashes to what was recorded."""

    exit_code = EXIT_UNVERIFIED


class BenchError(ForensicsError):
    """Something cannot be measured as asked."""
