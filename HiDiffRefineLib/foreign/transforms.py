"""MONAI's transforms around a network as the steps of a bundle here; others are refused by name."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from HiDiffRefineLib.foreign.model import unmapped
from HiDiffRefineLib.foreign.references import Configuration

# fmt: off
# Arguments that change nothing for a single image of one channel.
_NO_MATTER = {
    "_target_", "_desc_", "_disabled_", "_requires_", "keys", "allow_missing_keys", "meta_keys",
    "meta_key_postfix", "image_only", "reader", "ensure_channel_first", "channel_dim",
    "channel_wise", "strict_check", "dtype", "device", "data_type", "track_meta", "wrap_sequence",
    "lazy", "prune_meta_pattern", "prune_meta_sep", "overwriting", "source_key", "start_coord_key",
    "end_coord_key", "align_corners", "recompute_affine", "as_closest_canonical", "labels",
}
# Transforms that leave the values alone.
_IDLE = {
    "LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "ToTensor",
    "CastToType", "ToDevice", "Identity", "DeleteItems", "SelectItems",
}
# fmt: on
_IDLE_AFTER = _IDLE | {"Invert", "SaveImage", "CopyItems"}
_PACKAGES = ("monai.transforms.", "monai.")


@dataclass
class Call:
    """One entry of a list of transforms.

    Args:
        name: of the transform, without MONAI's packages and without the d of dictionaries.
        place: in the configuration, for messages.
    """

    name: str
    place: str
    configuration: Configuration
    entry: dict
    _asked: set = field(default_factory=set)

    def get(self, key: str, default: object = None) -> object:
        """An argument's value."""
        self._asked.add(key)
        if key not in self.entry:
            return default
        value = self.configuration.plain(self.entry[key], f"{self.place}.{key}")
        return (
            {"True": True, "False": False, "None": None}.get(value, value)
            if isinstance(value, str)
            else value
        )

    def number(self, key: str, default: float | None = None) -> float:
        """An argument that must be a number."""
        value = self.get(key, default)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise unmapped(f"{self.name} with {key} = {value}")
        return value

    def only(self, key: str, *allowed: object) -> None:
        """Refuses an argument of any other value; the first one is its default."""
        value = self.get(key, allowed[0])
        value = value[0] if isinstance(value, list) and value and value == value[:1] * len(value) else value
        if value not in allowed:
            raise unmapped(f"{self.name} with {key} = {value}")

    def check_all_asked(self) -> None:
        """Refuses arguments that nothing has asked for."""
        for key in self.entry.keys() - self._asked - _NO_MATTER:
            raise unmapped(f"{self.name} with the argument {key}")


def calls(configuration: Configuration, *keys: str) -> Iterator[Call]:
    """The transforms of the first of these entries that is there, in order; those that are off left out."""
    yield from _calls(configuration, configuration.find(*keys), keys[0])


def _calls(configuration: Configuration, found: object, place: str) -> Iterator[Call]:
    if isinstance(found, dict):
        place = f"{place}.transforms"
        found = configuration.followed(found.get("transforms"), place)
    for n, item in enumerate(found if isinstance(found, list) else []):
        there = f"{place}.{n}"
        entry = configuration.followed(item, there)
        target = configuration.followed(entry.get("_target_"), there) if isinstance(entry, dict) else None
        if not isinstance(target, str):
            raise unmapped(f"The entry {there}, which names no transform,")
        call = Call(_plain_name(target), there, configuration, entry)
        if call.get("_disabled_", False) is True:
            continue
        if call.name == "Compose":
            yield from _calls(configuration, entry, there)
        else:
            yield call


@dataclass
class Before:
    """What happens to an image before the network.

    Args:
        axes: letters of the axes, None for those of the file.
        spacing_ijk_mm: along those axes; None where nothing resamples.
        steps: of a bundle's block "imported".
    """

    axes: str | None = None
    spacing_ijk_mm: list[float] | None = None
    steps: list[dict] = field(default_factory=list)


def read_before(configuration: Configuration, spacing_ijk_mm: list[float] | None) -> Before:
    """The transforms before the network.

    Args:
        spacing_ijk_mm: in place of what Spacing says; None to take that.

    Raises:
        BundleError: names the first transform or argument that has no counterpart.
    """
    found = Before(spacing_ijk_mm=spacing_ijk_mm)
    for call in calls(configuration, "preprocessing", "pre_transforms", "infer_transforms"):
        if call.name in _IDLE:
            continue
        if call.name == "Orientation":
            _read_orientation(call, found)
        elif call.name == "Spacing":
            _read_spacing(call, found)
        elif call.name in _STEPS:
            found.steps.append(_STEPS[call.name](call))
        else:
            raise unmapped(f"The transform {call.name} before the network")
        call.check_all_asked()
    return found


def _read_orientation(call: Call, found: Before) -> None:
    axes = str(call.get("axcodes")).upper()
    if any(step["step"] in ("resample", "crop") for step in found.steps):
        raise unmapped("Orientation after Spacing or CropForeground")
    if sorted("RASRAS"["RASLPI".find(letter)] for letter in axes) != ["A", "R", "S"]:
        raise unmapped(f"Orientation with axcodes = {axes}")
    found.axes = axes


def _read_spacing(call: Call, found: Before) -> None:
    if any(step["step"] == "resample" for step in found.steps):
        raise unmapped("A second Spacing")
    if found.spacing_ijk_mm is None:
        steps = call.get("pixdim")
        steps = [steps] * 3 if isinstance(steps, (int, float)) else steps
        good = isinstance(steps, list) and len(steps) == 3
        if not good or not all(isinstance(step, (int, float)) and 0 < step <= 20 for step in steps):
            raise unmapped(f"Spacing with pixdim = {steps}", "Add --spacing I,J,K in mm.")
        found.spacing_ijk_mm = [float(step) for step in steps]
    else:
        call.entry.pop("pixdim", None)
    call.only("mode", "bilinear", 1)
    call.only("padding_mode", "border", "nearest")
    for key in ("diagonal", "scale_extent"):
        call.only(key, False)
    for key in ("min_pixdim", "max_pixdim"):
        call.only(key, None)
    found.steps.append({"step": "resample", "interpolation": "linear"})


def _range(call: Call) -> dict:
    if call.get("b_min", None) is None or call.get("b_max", None) is None:
        raise unmapped(f"{call.name} without b_min and b_max")
    return _stretch(call, "range", "a_min", "a_max")


def _percentiles(call: Call) -> dict:
    call.only("relative", False)
    return _stretch(call, "percentiles", "lower", "upper")


def _stretch(call: Call, step: str, low: str, high: str) -> dict:
    ends = {"low": low, "high": high, "to_low": "b_min", "to_high": "b_max"}
    numbers = {ours: call.number(theirs) for ours, theirs in ends.items()}
    return {"step": step, **numbers, "clip": bool(call.get("clip", False))}


def _extent(call: Call) -> dict:
    call.only("factor", None)
    return {"step": "extent", "to_low": call.number("minv", 0.0), "to_high": call.number("maxv", 1.0)}


def _standardise(call: Call) -> dict:
    step = {"step": "standardise", "over": "nonzero" if call.get("nonzero", False) else "all"}
    for key, ours in (("subtrahend", "mean"), ("divisor", "deviation")):
        if call.get(key) is not None:
            step[ours] = call.number(key)
    return step


def _crop(call: Call) -> dict:
    call.only("margin", 0)
    call.only("k_divisible", 1)
    call.only("allow_smaller", False, True)  # of margins, of which there are none
    call.only("select_fn", None)
    call.only("channel_indices", None, 0)
    call.only("mode", "constant")
    return {"step": "crop", "keep": "positive"}


_STEPS = {
    "ScaleIntensityRange": _range,
    "ScaleIntensityRangePercentiles": _percentiles,
    "ScaleIntensity": _extent,
    "NormalizeIntensity": _standardise,
    "CropForeground": _crop,
}
_NAMED = {"Compose", "Orientation", "Spacing", "Activations", "AsDiscrete", "KeepLargestConnectedComponent"}


@dataclass
class After:
    """What happens to a network's answer.

    Args:
        channels: "softmax", "sigmoid", or None where nothing tells.
        largest_component: whether of some labels only the largest piece stays.
        pieces_of: which labels, by value; None for all.
    """

    channels: str | None = None
    largest_component: bool = False
    pieces_of: list[int] | None = None


def read_after(configuration: Configuration) -> After:
    """The transforms after the network.

    Raises:
        BundleError: names the first transform or argument that has no counterpart.
    """
    found = After()
    for call in calls(configuration, "postprocessing", "post_transforms"):
        if call.name in _IDLE_AFTER:
            continue
        if call.name == "Activations":
            call.only("other", None)
            if call.get("sigmoid", False):
                found.channels = "sigmoid"
            elif call.get("softmax", False):
                found.channels = "softmax"
        elif call.name == "AsDiscrete":
            for key in ("to_onehot", "n_classes", "num_classes", "rounding"):
                call.get(key)
            if call.get("argmax", False):
                found.channels = "softmax"
            elif call.get("threshold", None) is not None:
                call.only("threshold", 0.5, True)
                found.channels = found.channels or "sigmoid"
        elif call.name == "KeepLargestConnectedComponent":
            pieces_of = call.get("applied_labels")
            found.pieces_of = [pieces_of] if isinstance(pieces_of, int) else pieces_of
            call.only("is_onehot", None, False, True)
            call.only("independent", True)
            call.only("connectivity", None, 3)
            call.only("num_components", 1)
            found.largest_component = True
        else:
            raise unmapped(f"The transform {call.name} after the network")
        call.check_all_asked()
    return found


def _plain_name(target: str) -> str:
    """A transform without MONAI's packages, and without the d, D or Dict of those for dictionaries."""
    name = target
    for package in _PACKAGES:
        if target.startswith(package):
            name = target.rpartition(".")[2]
    known = _IDLE_AFTER | _STEPS.keys() | _NAMED
    return next((one for one in known if name in (f"{one}d", f"{one}D", f"{one}Dict")), name)
