"""The models to choose from, and what stands beside each: licence, training data, limits."""

from datetime import datetime
from html import escape

from slicer.i18n import tr as _


def fill_models(selector) -> tuple[dict, list]:
    """The shipped segmentors, each with its one-shot twin, and last the refiner alone.

    Returns:
        the bundles by the items' data, which `bundle_and_mode` takes apart, and a `BundleError` for each
        that cannot be used; no bundles where the refiner is missing, which all of them need.
    """
    from HiDiffRefineLib.bundles import list_bundles, models_folder
    from HiDiffRefineLib.errors import BundleError

    bundles, problems = list_bundles()
    refiner = next((bundle for bundle in bundles if bundle.name == "refiner"), None)
    if refiner is None:
        missing = BundleError(
            _("There is no refiner among the models in {folder}.").format(folder=models_folder()),
            _("Install the extension again, or name the models' folder in the variable HIDIFF_MODELS."),
        )
        return {}, [missing, *problems]
    shown = {}
    selector.blockSignals(True)
    for bundle in bundles:
        if bundle.kind == "segmentor":
            shown[bundle.name] = bundle
            selector.addItem(bundle.metadata["name"], bundle.name)
            if "dssm" in bundle.settings["weights"]:
                shown[f"{bundle.name} (dssm)"] = bundle
                one_shot = _("{model}: One-shot (DSSM)").format(model=bundle.metadata["name"])
                selector.addItem(one_shot, f"{bundle.name} (dssm)")
    selector.addItem(_("No model: refine any existing segmentation"), "refiner-only")
    selector.blockSignals(False)
    return shown | {"refiner-only": refiner}, problems


def describe(bundle) -> str:
    """A model card in a few lines of rich text."""
    settings = bundle.settings
    data = "; ".join(f"{source['name']} ({source['cases']})" for source in settings["training_data"])
    data = data or _("not told")
    use = _("Research only.") if settings["research_only"] else _("Free to use under its licence.")
    lines = [
        f"<b>{use}</b> {escape(settings['license'])}",
        f"<b>{_('Trained on:')}</b> {escape(data)}",
        f"<b>{_('Limits:')}</b> {escape(settings['limits'])}",
    ]
    if "region_mm" in settings:
        lines.append(_("<b>Of a large volume</b> it segments what lies around the crosshair (Shift+move)."))
    return "<br>".join(lines)


def describe_leftover(leftover) -> str:
    """What a crash has left, in a sentence."""
    when = datetime.fromtimestamp(leftover.time_s).strftime("%Y-%m-%d %H:%M")
    return _(
        "3D Slicer ended unexpectedly at {when}. The segments and hints on this volume are kept."
    ).format(when=when)
