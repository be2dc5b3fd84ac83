"""The one exception family of HiDiffRefine."""


class HiDiffRefineError(Exception):
    """Something a user can understand and mend.

    Args:
        message: one sentence that says what is wrong, in a clinician's words.
        remedy: one sentence that says what to do about it.
    """

    def __init__(self, message: str, remedy: str = ""):
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy


class VolumeError(HiDiffRefineError):
    """An image or labelmap that cannot be used."""


class FileError(HiDiffRefineError):
    """A file that may not or can't be written."""


class DicomError(HiDiffRefineError):
    """A DICOM segmentation that cannot be written as it is, or read."""


class BundleError(HiDiffRefineError):
    """A model bundle that is missing, damaged or wrong for the job."""


class HintError(HiDiffRefineError):
    """A click, scribble or painted region that cannot be used, or a file of them."""


class ConfigError(HiDiffRefineError):
    """A training configuration or command-line value that makes no sense."""


class SessionError(HiDiffRefineError):
    """Something that an editing session cannot do as it stands, or a journal of no use."""


class WorkerError(HiDiffRefineError):
    """The worker process cannot be started, or ended twice over the same work."""
