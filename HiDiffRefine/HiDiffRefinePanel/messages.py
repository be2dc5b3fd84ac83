"""What the user is told of an error."""

import logging

import slicer
from slicer.i18n import tr as _


def told(error: Exception) -> str:
    """A sentence and what to do. Of an error that nobody foresaw the log gets the rest, and is named."""
    if hasattr(error, "remedy"):  # the library's own
        return f"{error.message} {error.remedy}"
    logging.error("HiDiffRefine: %s", error, exc_info=error)
    return _("Something went wrong that should not ({kind}: {error}). The details are in {log}.").format(
        kind=type(error).__name__, error=error, log=slicer.app.currentLogFile()
    )
