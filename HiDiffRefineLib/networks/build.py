"""Networks by name, as a bundle's metadata names them."""

from torch import nn

from HiDiffRefineLib.dssm.network import DSSM
from HiDiffRefineLib.errors import BundleError, HiDiffRefineError, is_memory_full
from HiDiffRefineLib.networks.edit_refiner import EditRefiner
from HiDiffRefineLib.networks.imported import bare_network, imported
from HiDiffRefineLib.networks.refiner import BernoulliRefiner
from HiDiffRefineLib.networks.segmentor import residual_unet

NETWORKS = {
    "residual_unet": residual_unet,
    "bernoulli_refiner": BernoulliRefiner,
    "edit_refiner": EditRefiner,
    "dssm": DSSM,
    "imported": imported,
    "bare": bare_network,
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
    # Constructors fail over odd arguments in as many ways as there are layers: assertions, indices, overflow.
    except Exception as error:
        if isinstance(error, HiDiffRefineError) or is_memory_full(error):
            raise
        fault = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise BundleError(
            f"Network '{name}' can't be built: {fault}.", "Check its arguments in the bundle's metadata.json."
        ) from error
