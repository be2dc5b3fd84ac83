"""Stage 0: a segmentor, and the priors that it leaves for stage 1."""

import pytest

from HiDiffRefineLib.training.cases import save_cases
from HiDiffRefineLib.training.priors import load_priors
from HiDiffRefineLib.training.segmentor import train_segmentor


def test_training_with_a_fold_leaves_priors_of_the_held_out_cases(bundles, make_case, make_config, tmp_path):
    cases = [make_case(name, seed=n) for n, name in enumerate("abcd")]
    save_cases(tmp_path / "cases.npy.xz", cases)
    config = make_config(
        bundle="tiny-segmentor", cases=(str(tmp_path / "cases.npy.xz"),), folds=2, fold=1, iterations=3
    )
    train_segmentor(config)
    priors = load_priors(tmp_path / "out/priors.npy.xz")
    assert list(priors) == ["b", "d"]
    for prior in priors.values():
        assert len(prior.probabilities) == 3
        assert prior.grid.spacing_kji == pytest.approx([2, 1.5, 1.5])
        assert prior.grid.center_ras == pytest.approx([72.5, -32.6, 53])
    assert (tmp_path / "out/weights.safetensors").is_file()
