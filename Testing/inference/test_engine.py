"""The engine in this process: where a device is full, the processor does it, and says so."""

import dataclasses

import monai.inferers
import numpy as np
import pytest
import torch

from HiDiffRefineLib.geometry.grids import centered_grid
from HiDiffRefineLib.hints.hint import Click
from HiDiffRefineLib.inference import memory, segmentor
from HiDiffRefineLib.inference.engine import LocalEngine
from HiDiffRefineLib.inference.memory import GPU_FULL, GPU_LACKS
from HiDiffRefineLib.inference.messages import EditRequest, Preview, SegmentationRequest, View, WarmUpRequest
from HiDiffRefineLib.inference.prepared_volume import PreparedVolume

SHAPE = (20, 30, 30)


@pytest.fixture
def engine(make_pipeline, refiner, volume_of):
    """An engine with a second place to go, as if the first were a GPU, and what it said."""
    said = []
    pipeline = make_pipeline(refiner)
    volume = volume_of(centered_grid((100, -46, 34), SHAPE, (1, 1, 1)))
    engine = LocalEngine(volume, pipeline, said.append)
    engine.on_processor = PreparedVolume(volume, pipeline.on(torch.device("cpu")), engine.on_device.kept)
    engine.said = said
    return engine


@pytest.fixture
def edit(engine):
    mask = np.zeros(SHAPE, bool)
    mask[5:9, 5:9, 5:9] = True
    view = View(engine.grid, tuple(slice(0, n) for n in SHAPE), mask, ~mask & False, mask, ~mask & False)
    return EditRequest((view,), (Click(engine.grid.center_ras, True),), None, (), 3, 0)


def test_a_region_keeps_its_own_reach_where_another_overlaps(engine, edit):
    """Two clicks wait; what the newer one may not reach, the older one may."""
    (view,) = edit.views
    (click,) = edit.hints
    alone = [preview.mask for preview in engine.run(edit) if isinstance(preview, Preview)]
    other = dataclasses.replace(view, protected=~view.protected)
    both = dataclasses.replace(edit, views=(view, other), hints=(click, click), asked=2)
    found = [preview.mask for preview in engine.run(both) if isinstance(preview, Preview)]
    assert alone[-1].sum() > view.mask.sum()
    assert np.array_equal(found[len(alone) - 1], alone[-1])


FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB)"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    RuntimeError("std::bad_alloc"),
    RuntimeError("itk::ERROR: Failed to allocate memory for image."),
    MemoryError("Unable to allocate 9.31 GiB for an array"),
    OSError(12, "Cannot allocate memory"),
]


def fail_at(monkeypatch, network, call: int, error: Exception = FULL[0]) -> None:
    """Has a refiner run out of memory, once."""
    denoise, calls = network.denoise, []

    def failing(*inputs):
        calls.append(1)
        if len(calls) == call:
            raise error
        return denoise(*inputs)

    monkeypatch.setattr(network, "denoise", failing)


@pytest.mark.parametrize("call", [1, 2, 3])
def test_an_edit_on_a_full_gpu_goes_on_where_it_was(engine, edit, monkeypatch, call):
    *expected, extents = engine.run(edit)
    assert engine.said == [] and len(expected) == 3
    fail_at(monkeypatch, engine.pipeline.network("refiner"), call)
    *found, again = engine.run(edit)
    assert engine.said == [GPU_FULL] and again.packed == extents.packed
    assert [preview.mask.tobytes() for preview in found] == [preview.mask.tobytes() for preview in expected]
    list(engine.run(edit))
    assert engine.said == [GPU_FULL]


@pytest.mark.parametrize("error", FULL, ids=lambda error: str(error)[:30])
def test_every_way_to_say_that_memory_is_full(engine, edit, monkeypatch, error):
    fail_at(monkeypatch, engine.pipeline.network("refiner"), 2, error)
    *previews, _ = engine.run(edit)
    assert len(previews) == 3 and engine.said == [GPU_FULL]


def test_an_operation_that_a_gpu_lacks_is_done_by_the_processor(engine, edit, monkeypatch):
    lacks = NotImplementedError("The operator 'aten::max_pool3d' is not implemented for the MPS device.")
    fail_at(monkeypatch, engine.pipeline.network("refiner"), 2, lacks)
    *previews, _ = engine.run(edit)
    assert len(previews) == 3 and engine.said == [GPU_LACKS]


def test_another_error_is_no_full_memory(engine, edit, monkeypatch):
    fail_at(monkeypatch, engine.pipeline.network("refiner"), 2, RuntimeError("CUDA error: an illegal access"))
    with pytest.raises(RuntimeError, match="illegal access"):
        list(engine.run(edit))
    assert engine.said == []


@pytest.mark.parametrize(
    "error, told", [(FULL[0], GPU_FULL), (FULL[2], GPU_FULL), (NotImplementedError("MPS"), GPU_LACKS)]
)
def test_work_with_a_pipeline_goes_to_the_processor(make_pipeline, error, told):
    pipeline, said, seen = make_pipeline(), [], []
    pipeline.device = torch.device("mps")

    def work(one):
        seen.append(one.device.type)
        if one.device.type != "cpu":
            raise error
        return 7

    assert pipeline.where_there_is_room(work, said.append) == 7
    assert seen == ["mps", "cpu"] and said == [told]
    pipeline.device = torch.device("cpu")
    with pytest.raises(RuntimeError, match="such"):
        pipeline.where_there_is_room(lambda one: (_ for _ in ()).throw(RuntimeError("such")), said.append)


def test_a_full_processor_is_an_error(engine, edit, monkeypatch):
    engine.on_processor = None
    fail_at(monkeypatch, engine.pipeline.network("refiner"), 2)
    with pytest.raises(torch.OutOfMemoryError):
        list(engine.run(edit))


def test_segmenting_tries_fewer_windows_first(engine, monkeypatch):
    (expected,) = engine.run(SegmentationRequest())
    engine.on_device._priors.clear()
    batches = []
    monkeypatch.setattr(segmentor, "window_batch", lambda *fit: 4)
    sliding = monai.inferers.sliding_window_inference

    def run(*inputs, sw_batch_size, **options):
        batches.append(sw_batch_size)
        if sw_batch_size > 1:
            raise torch.OutOfMemoryError("made up")
        return sliding(*inputs, sw_batch_size=sw_batch_size, **options)

    monkeypatch.setattr(monai.inferers, "sliding_window_inference", run)
    (found,) = engine.run(SegmentationRequest())
    assert batches == [4, 1] and engine.said == []
    assert all(
        a.box == b.box and np.array_equal(a.mask, b.mask) for a, b in zip(found, expected, strict=True)
    )


def test_segmenting_that_does_not_fit_goes_to_the_processor(engine, monkeypatch):
    (expected,) = engine.run(SegmentationRequest())
    engine.on_device._priors.clear()
    calls = []

    def no_room(*fit):
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("made up")
        return 1

    monkeypatch.setattr(segmentor, "window_batch", no_room)
    (found,) = engine.run(SegmentationRequest())
    assert engine.said == [GPU_FULL] and len(found) == len(expected) == 2


def test_as_many_windows_as_fit(monkeypatch):
    device, patch, grid = torch.device("cuda"), (64, 128, 128), (100, 100, 100)
    window = memory.WINDOW_BYTES * np.prod(patch)
    stitched = memory.STITCH_BYTES_PER_LABEL * 3 * np.prod(grid)
    for windows, expected in ((0.9, None), (1.1, 1), (2.5, 2), (99, memory.MOST_WINDOWS)):
        free = (windows * window + stitched) / memory.MARGIN
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        if expected is None:
            with pytest.raises(torch.OutOfMemoryError):
                memory.window_batch(device, grid, patch, 3)
        else:
            assert memory.window_batch(device, grid, patch, 3) == expected
    assert memory.window_batch(torch.device("cpu"), grid, patch, 3) == 1


def test_warming_up_runs_an_edit(engine):
    shares = []
    assert list(engine.run(WarmUpRequest(), lambda share, what: shares.append(share))) == []
    assert shares == [0, 0.5, 1]
