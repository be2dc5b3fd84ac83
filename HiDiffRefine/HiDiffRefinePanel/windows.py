"""Grey windows for CT, as radiologists call them up by name."""

from collections.abc import Callable

# Width and level in Hounsfield units, as textbooks have them.
WINDOWS = {"abdomen": (400, 50), "brain": (80, 40), "lung": (1500, -600), "bone": (1800, 400)}


class Windows:
    """A row of buttons.

    Args:
        ui: the panel's widgets.
        guard: see `Jobs.guard`.
    """

    def __init__(self, ui, guard: Callable):
        self._ui, self._volume = ui, None
        for name, window in WINDOWS.items():
            button = getattr(ui, f"{name}Button")
            button.connect("clicked()", lambda window=window: guard(self._set)(*window))

    def show(self, volume, bundle) -> None:
        """Offers them where grey values may be Hounsfield units: neither model nor DICOM say otherwise.

        Args:
            volume: that they are for; None: no buttons.
            bundle: the model that was chosen for it; None: no buttons.
        """
        from HiDiffRefineLib.scene.volume_nodes import modality_of

        self._volume = volume
        modality = None
        if volume is not None and bundle is not None:
            modality = bundle.settings.get("modality") or modality_of(volume)
        self._ui.windowRow.visible = modality in ("CT", "")

    def _set(self, width: float, level: float) -> None:
        self._volume.CreateDefaultDisplayNodes()
        display = self._volume.GetDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevel(width, level)
