"""The models to choose from, and what stands beside each: licence, training data, limits."""

from html import escape

from slicer.i18n import tr as _


def fill_models(selector, chosen: str) -> None:
    """The shipped segmentors, and last the refiner alone; the chosen one is selected, or else the first."""
    from HiDiffRefineLib.bundles import list_bundles

    bundles, _errors = list_bundles()
    entries = [(bundle.metadata["name"], bundle.name) for bundle in bundles if bundle.kind == "segmentor"]
    entries.append((_("No model: refine any existing segmentation"), "refiner-only"))
    names = [name for _title, name in entries]
    selector.blockSignals(True)
    selector.clear()
    for title, name in entries:
        selector.addItem(title, name)
    selector.currentIndex = names.index(chosen) if chosen in names else 0
    selector.blockSignals(False)


def describe(name: str) -> str:
    """A model card in a few lines of rich text."""
    from HiDiffRefineLib.bundles import load_bundle

    settings = load_bundle("refiner" if name == "refiner-only" else name).settings
    data = "; ".join(f"{source['name']} ({source['cases']})" for source in settings["training_data"])
    use = _("Research only.") if settings["research_only"] else _("Free to use under its licence.")
    lines = [
        f"<b>{use}</b> {escape(settings['license'])}",
        f"<b>{_('Trained on:')}</b> {escape(data)}",
        f"<b>{_('Limits:')}</b> {escape(settings['limits'])}",
    ]
    if "region_mm" in settings:
        lines.append(_("<b>Of a large volume</b> it segments what lies around the crosshair (Shift+move)."))
    return "<br>".join(lines)
