"""Training of DSSM, its twin with tau 0, and what goes into its loss."""

import pytest
import torch
from safetensors.torch import load_file

from HiDiffRefineLib.bundles import load_bundle, update_settings
from HiDiffRefineLib.dssm.latent import STEPS
from HiDiffRefineLib.networks.build import build_network
from HiDiffRefineLib.training.cases import save_cases, split_cases
from HiDiffRefineLib.training.dssm import class_shares, dssm_loss, random_steps, train_dssm
from HiDiffRefineLib.training.loop import load_half
from HiDiffRefineLib.training.soft_dice import soft_dice_loss

SMALL = {"labels": 3, "channels": [8, 8], "strides": [[1, 2, 2], [2, 2, 2]], "latent": 8, "density": 8}


@pytest.fixture
def train(bundles, make_case, make_config, tmp_path):
    """Fields → the weights after a training on made-up patients."""
    save_cases(tmp_path / "cases.npy.xz", [make_case(name, seed=n) for n, name in enumerate("abcd")])
    entry = {"name": "dssm", "arguments": SMALL}
    networks = load_bundle("tiny-segmentor").settings["networks"] | {"dssm": entry}
    update_settings(bundles["tiny-segmentor"].folder, networks=networks)

    def run(**fields):
        fields = {"iterations": 30, "batch": 4, "learning_rate": 0.01, "ema": 0.8} | fields
        cases = (str(tmp_path / "cases.npy.xz"),)
        config = make_config(task="dssm", bundle="tiny-segmentor", cases=cases, folds=2, fold=1, **fields)
        train_dssm(config)
        network = build_network("dssm", SMALL | config.network)
        load_half(network, tmp_path / "out/weights.safetensors")
        return network, load_file(tmp_path / "out/weights.safetensors")

    return run


def test_training_learns_leaves_a_fitted_mixture_and_prints_held_out_dice(train, capsys):
    network, stored = train()
    shown = capsys.readouterr().out
    assert [line.split(":")[0] for line in shown.splitlines() if "Dice" in line] == [
        "head alone",
        "1 step",
        "4 steps",
    ]
    untrained = build_network("dssm", SMALL)
    assert not torch.equal(network.mixture.mean, untrained.mixture.mean)
    assert stored["mixture.variance"].shape == (3, 4, 8)
    # Background is most of the patches.
    assert network.mixture.log_prior().argmax() == 0
    assert float(network.tau.detach()) > 0


def test_the_twin_has_tau_zero(train):
    network, _ = train(iterations=3, network={"discriminative": True})
    assert float(network.tau) == 0


def test_class_shares_count_the_finer_voxels():
    labels = torch.zeros(1, 1, 2, 4, 4)
    labels[0, 0, 0, 0, :3] = 1
    shares = class_shares(labels, 3, (1, 2, 2))
    assert shares.shape == (1, 3, 2, 2, 2)
    torch.testing.assert_close(shares[0, :, 0, 0, 0], torch.tensor([0.5, 0.5, 0]))
    torch.testing.assert_close(shares[0, :, 0, 0, 1], torch.tensor([0.75, 0.25, 0]))


def test_half_of_the_states_are_the_start():
    torch.manual_seed(0)
    steps = random_steps(4000, torch.device("cpu"))
    assert steps.min() == 1 and steps.max() == STEPS
    assert (steps == STEPS).float().mean() == pytest.approx(0.5, abs=0.03)


def test_the_loss_is_least_where_the_truth_is_said():
    truth = torch.softmax(5 * torch.randn(2, 3, 2, 4, 4), 1)
    right = {name: truth.log() for name in ("posterior", "first", "density", "decoded", "reconstructed")}
    right |= {"clean": torch.zeros(2, 4, 1, 2, 2), "latent": torch.zeros(2, 4, 1, 2, 2)}
    wrong = right | {name: truth.flip(1).log() for name in ("posterior", "decoded")}
    terms = [dssm_loss(found, truth, torch.tensor(1.0), torch.zeros(3)) for found in (right, wrong)]
    assert all(terms[0][name] < terms[1][name] for name in ("posterior", "dice", "decoded"))
    onehot = torch.eye(3)[torch.randint(3, (50,))].T.view(1, 3, 2, 5, 5)
    assert soft_dice_loss(onehot, onehot) < 1e-6


def test_frames_of_one_patient_stay_together(make_case):
    cases = [make_case(f"p{n}_frame{m:02d}") for n in range(6) for m in (1, 9)]
    training, held_out = split_cases(cases, 3, 1)
    assert [case.name for case in held_out] == ["p1_frame01", "p1_frame09", "p4_frame01", "p4_frame09"]
    assert len(training) == 8
