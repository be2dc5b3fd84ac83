"""Every writer of the library on a disk that fails: the old file stays, and the refusal says why."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from HiDiffRefineLib.cli.outputs import write_json
from HiDiffRefineLib.errors import FileError
from HiDiffRefineLib.volumes.new_files import check_writable, new_files, write_whole
from HiDiffRefineLib.volumes.volume_table import write_volume_table
from HiDiffRefineLib.volumes.write import write_segmentation
from Testing.volumes.full_disk import full_after
from Testing.volumes.samples import SPLEEN

SPECKLES = (np.random.default_rng(0).random((30, 40, 40)) < 0.3).astype(np.uint8)


def segmentation(path):
    write_segmentation(path, SPECKLES, np.eye(4), [SPLEEN])


def probabilities(path):
    mask = path.with_name("mask.nii.gz")
    write_segmentation(mask, np.zeros((2, 3, 4)), np.eye(4), [SPLEEN], path, [np.float32(SPECKLES[:2])])


def table(path):
    write_volume_table(
        path, [{"value": n, "segment": "a", "voxels": 1, "ml": 1.0, "cut": False} for n in range(999)]
    )


def figures(path):
    write_json(path, {"figures": list(range(3000))})


def many_bytes(path):
    write_whole(path, bytes(5000))


WRITERS = [
    ("a.seg.nrrd", segmentation),
    ("a.nii.gz", segmentation),
    ("a.nii", segmentation),
    ("p.nii", probabilities),
    ("v.csv", table),
    ("f.json", figures),
    ("b.bin", many_bytes),
]


@pytest.mark.parametrize("name, write", WRITERS)
@pytest.mark.parametrize("size", [0, 1000, 4000])
def test_a_full_disk_leaves_the_old_file(tmp_path, name, write, size, capfd):
    path = tmp_path / name
    path.write_bytes(b"old")
    with full_after(size), pytest.raises(FileError, match=f"{name}' could not be written") as caught:
        write(path)
    assert "space left" in caught.value.remedy
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [name]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name, write", WRITERS)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_call_leaves_the_old_file(tmp_path, monkeypatch, name, write, call):
    path = tmp_path / name
    path.write_bytes(b"old")

    def fails(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fails)
    with pytest.raises(FileError, match="could not be written .No space left on device"):
        write(path)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [name]


def test_a_file_system_that_cannot_sync_is_written_to(tmp_path, monkeypatch):
    def unknown(_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", unknown)
    segmentation(tmp_path / "a.seg.nrrd")
    assert os.listdir(tmp_path) == ["a.seg.nrrd"]


@pytest.mark.parametrize("extension", [".seg.nrrd", ".nii.gz", ".nii"])
@pytest.mark.parametrize("change", ["voxels", "spacing", "origin", "axes"])
def test_what_itk_writes_wrong_is_not_kept(tmp_path, monkeypatch, extension, change):
    path = tmp_path / f"a{extension}"
    write = sitk.WriteImage

    def wrong(image, *arguments, **more):
        keys = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
        if change == "voxels":
            image = image * 2
        elif change == "spacing":
            image.SetSpacing((1, 1, 1.02))
        elif change == "origin":
            image.SetOrigin((0, 0.02, 0))
        else:
            image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, 1))
        for key, value in keys.items():
            image.SetMetaData(key, value)
        write(image, *arguments, **more)

    monkeypatch.setattr(sitk, "WriteImage", wrong)
    with pytest.raises(FileError, match="read back, it is not the same"):
        segmentation(path)
    assert os.listdir(tmp_path) == []


def test_a_lost_field_of_the_header_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(sitk.Image, "SetMetaData", lambda *_: None)
    with pytest.raises(FileError, match="read back, it is not the same"):
        segmentation(tmp_path / "a.seg.nrrd")


@pytest.mark.parametrize("name, write", WRITERS)
def test_links_and_permissions_stay(tmp_path, name, write):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / name, tmp_path / name
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    write(link)
    assert link.is_symlink() and target.read_bytes() != b"old" and target.stat().st_mode & 0o777 == 0o640
    assert os.listdir(target.parent) == [name]


def test_a_second_name_keeps_the_old_content(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "other").hardlink_to(tmp_path / "file")
    write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new" and (tmp_path / "other").read_bytes() == b"old"


def test_a_link_to_nothing_yet_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "new")
    write_whole(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "new").read_bytes() == b"content"


def test_a_new_file_has_the_usual_permissions(tmp_path):
    segmentation(tmp_path / "a.seg.nrrd")
    (tmp_path / "usual").touch()
    assert (tmp_path / "a.seg.nrrd").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_all_files_appear_or_none(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"old")
    refused = pytest.raises(FileError, match="'a' and 'b' could not be written")
    with refused, new_files(first, None, second) as (a, none, b):
        assert none is None
        a.write_bytes(b"new")
        b.write_bytes(b"new")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert first.read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_a_file_that_was_never_written_is_noticed(tmp_path):
    with pytest.raises(FileError, match="No such file"), new_files(tmp_path / "a"):
        pass


@pytest.mark.parametrize("length", [246, 255])
def test_the_longest_names(tmp_path, length):
    for extension in (".seg.nrrd", ".nii.gz"):
        path = tmp_path / ("x" * (length - len(extension)) + extension)
        segmentation(path)
        assert os.listdir(tmp_path) == [path.name]
        path.unlink()


def test_names_that_are_too_long_are_refused_before_the_work(tmp_path):
    with pytest.raises(FileError, match="File name too long"):
        check_writable(tmp_path / ("x" * 256))


def test_write_protected_files_are_refused_before_the_work(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.touch()
    monkeypatch.setattr(os, "access", lambda file, _: file != path)
    with pytest.raises(FileError, match="'a.csv' could not be written: it is write-protected"):
        check_writable(path)


def test_a_pipe_takes_what_is_written():
    ends = os.pipe()
    write_whole(Path(f"/dev/fd/{ends[1]}"), b"content")
    assert os.read(ends[0], 99) == b"content"
    for end in ends:
        os.close(end)


def test_all_files_of_a_command_appear_or_none(tmp_path, monkeypatch):
    """The second is open in a program that lets nobody replace it, as on Windows."""
    mask, table, fresh = (tmp_path / name for name in ("m.nii", "t.csv", "new.csv"))
    mask.write_text("old mask")
    table.write_text("old table")
    replace = os.replace

    def refused(new, target):
        if Path(target) == table and Path(new).read_text() == "new":
            raise PermissionError(errno.EACCES, "in use")
        replace(new, target)

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(FileError, match="could not be written"), new_files(fresh, mask, table) as news:
        for new in news:
            new.write_text("new")
    assert mask.read_text() == "old mask" and table.read_text() == "old table"
    assert sorted(tmp_path.iterdir()) == [mask, table]


def test_a_device_may_be_written_whatever_its_folder():
    write_whole(Path(os.devnull), b"gone")
    check_writable(Path(os.devnull))
