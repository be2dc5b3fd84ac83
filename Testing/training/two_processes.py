"""Goes on with a run of `test_session_loop` in two processes: python two_processes.py OUTPUT."""

import sys
from pathlib import Path

import torch
from lightning.fabric import Fabric

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from test_session_loop import SMALL, Balls  # noqa: E402

from HiDiffRefineLib.bernoulli import BernoulliChain  # noqa: E402
from HiDiffRefineLib.networks.edit_refiner import EditRefiner  # noqa: E402
from HiDiffRefineLib.training.session_loop import fit_sessions  # noqa: E402

if __name__ == "__main__":
    torch.set_num_threads(1)
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    fabric.launch()
    network = EditRefiner(**SMALL)
    settings = {"minutes": 10, "batch": 2, "compiled": False, "steps": 10, "log": lambda line: None}
    samples, chain = Balls(100 * fabric.global_rank), BernoulliChain(10, "cosine")
    fit_sessions(fabric, network, samples, chain, Path(sys.argv[1]), **settings)
    print("weights", float(sum(weight.double().abs().sum() for weight in network.parameters())), flush=True)
