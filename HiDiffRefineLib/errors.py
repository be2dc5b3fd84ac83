"""The one exception family of HiDiffRefine, and how to tell that memory is full."""

import re

# torch on CUDA, MPS, ROCm and processors, cuDNN, cuBLAS, C++ and ITK.
_FULL = re.compile(
    r"out[ _]of[ _]memory|not enough memory|can't allocate memory|unable to allocate|bad_alloc|ALLOC_FAILED"
    r"|failed to allocate memory|cannot allocate memory",
    re.IGNORECASE,
)
MEMORY_FULL = "There is not enough memory for this."
MAKE_ROOM = "Close other programs or volumes, or work on a part of the volume."


def is_memory_full(error: BaseException) -> bool:
    """Whether an exception of any library means that the memory, or that of the GPU, is full."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, not imported
        return True
    return isinstance(error, (RuntimeError, OSError)) and bool(_FULL.search(str(error)))


class HiDiffRefineError(Exception):
    """Something a user can understand and mend.

    Args:
        message: one sentence that says what is wrong, in a clinician's words.
        remedy: one sentence that says what to do about it.
    """

    def __init__(self, message: str, remedy: str = ""):
        message = " ".join(message.split())  # names of files and segments may hold line breaks
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
