"""Grey windows for CT, as radiologists call them up by name."""

# Width and level in Hounsfield units, as textbooks have them.
WINDOWS = {"abdomen": (400, 50), "brain": (80, 40), "lung": (1500, -600), "bone": (1800, 400)}


def fit(volume, bundle) -> bool:
    """Whether a volume's grey values may be Hounsfield units: where model or DICOM say what else, they don't.

    Args:
        bundle: the model that was chosen for it.
    """
    from HiDiffRefineLib.scene.volume_nodes import modality_of

    return (bundle.settings.get("modality") or modality_of(volume)) in ("CT", "")


def set_window(volume, name: str) -> None:
    """Shows a volume in a window of `WINDOWS`."""
    volume.CreateDefaultDisplayNodes()
    display = volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(*WINDOWS[name])
