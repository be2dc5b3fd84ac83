"""What gzip files hold, whole, damaged, cut off, in parts."""

import gzip
import io
import zlib

import numpy as np
import pytest

from HiDiffRefineLib.volumes.unzipped import Unzipped

CONTENT = np.random.default_rng(0).integers(0, 9, 300_000).astype(np.uint8).tobytes() + bytes(2_000_000)


def unzipped(packed: bytes) -> io.BufferedReader:
    return io.BufferedReader(Unzipped(io.BytesIO(packed)))


@pytest.mark.parametrize("sizes", [[-1], [1, 7, 100_000, -1], [3_000_000]])
def test_reads_what_gzip_wrote(sizes):
    file = unzipped(gzip.compress(CONTENT))
    assert b"".join(file.read(size) for size in sizes) == CONTENT
    assert file.read(1) == b""


@pytest.mark.parametrize("between", [b"", b"\0" * 5])
def test_reads_parts_one_after_the_other(between):
    packed = gzip.compress(CONTENT) + between + gzip.compress(b"more") + between
    assert unzipped(packed).read() == CONTENT + b"more"
    assert unzipped(gzip.compress(b"")).read() == b""


def test_damage_is_no_end():
    packed = bytearray(gzip.compress(CONTENT))
    for cut in (1, 9, len(packed) // 2, len(packed) - 1):
        with pytest.raises(EOFError):
            unzipped(bytes(packed[:cut])).read()
    packed[-6] ^= 1  # of the checksum
    with pytest.raises(zlib.error):
        unzipped(bytes(packed)).read()
