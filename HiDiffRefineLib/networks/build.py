"""Networks by name, as a bundle's metadata names them."""

from torch import nn

from HiDiffRefineLib.dssm.network import DSSM
from HiDiffRefineLib.errors import BundleError
from HiDiffRefineLib.networks.edit_refiner import EditRefiner
from HiDiffRefineLib.networks.refiner import BernoulliRefiner
from HiDiffRefineLib.networks.segmentor import residual_unet

NETWORKS = {
    "residual_unet": residual_unet,
    "bernoulli_refiner": BernoulliRefiner,
    "edit_refiner": EditRefiner,
    "dssm": DSSM,
}


def build_network(name: str, arguments: dict) -> nn.Module:
    """A new network.

    Args:
        name: a key of `NETWORKS`.
        arguments: its keyword arguments.

    Raises:
        BundleError: unknown name or arguments.
    """
    if name not in NETWORKS:
        raise BundleError(f"Network '{name}' is unknown.", f"Known networks: {', '.join(NETWORKS)}.")
    try:
        # Whatever the host program has made torch's default.
        return NETWORKS[name](**arguments).float()
    except (TypeError, ValueError) as error:
        raise BundleError(f"Network '{name}' can't be built: {error}.", "Check network.arguments.") from error
