"""A gzip file unzipped as it is read, several times as fast as by Python's own `gzip`."""

import io
import zlib

# At a time; `gzip` takes 8 kB.
_PACKED_BYTES, _UNPACKED_BYTES = 1 << 16, 1 << 20
_EITHER = 47  # zlib's number for formats with a checksum, which it verifies: gzip's and its own


class Unzipped(io.RawIOBase):
    """The content of an open gzip (or zlib) file, of several parts even, from its first byte to the last.

    Reading raises zlib.error where the file is damaged, and EOFError where it is cut off.
    """

    def __init__(self, packed: io.BufferedIOBase):
        self._packed, self._left, self._part = packed, b"", zlib.decompressobj(_EITHER)

    def readable(self) -> bool:
        """It is, from front to back."""
        return True

    def readinto(self, buffer) -> int:
        """As many bytes as there are at once; 0 at the end."""
        size = min(len(buffer), _UNPACKED_BYTES)
        while True:
            if self._part.eof:
                self._left = (self._part.unused_data or self._packed.read(_PACKED_BYTES)).lstrip(b"\0")
                if not self._left:
                    return 0
                self._part = zlib.decompressobj(_EITHER)
            block = self._part.decompress(self._left, size)
            if block:
                self._left = self._part.unconsumed_tail
                buffer[: len(block)] = block
                return len(block)
            if not self._part.eof:
                self._left = self._packed.read(_PACKED_BYTES)
                if not self._left:
                    raise EOFError("cut off")
