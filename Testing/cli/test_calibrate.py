"""calibrate: the temperature lands in the refiner's bundle, where edits find it."""

import pytest

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.cli.main import main
from HiDiffRefineLib.evaluation import calibration
from Testing.cli.test_evaluate import cases  # noqa: F401


def test_the_temperature_is_entered_into_the_refiners_bundle(small_models, cases, capsys):  # noqa: F811
    command = ["calibrate", "--bundle", "hippocampus-mr", "--data", str(cases), "--device", "cpu"]
    assert main([*command, "--cases", "one"]) == 0
    temperature = load_bundle("refiner").settings["temperature"]
    # Networks of random weights know nothing: the best that can be said is "undecided".
    assert temperature > 1
    told = capsys.readouterr().out
    assert f"temperature {temperature}" in told and str(small_models / "refiner") in told
    assert main(["calibrate", "--bundle", "hippocampus-mr", "--data", str(cases), "--cases", "none"]) == 1
    assert "Error" in capsys.readouterr().err


@pytest.mark.parametrize("ended", ["by Ctrl+C", "by a bad case"])
def test_what_lacks_cases_is_printed_but_not_entered(small_models, cases, capsys, monkeypatch, ended):  # noqa: F811
    means, calls = calibration.refined_means, []

    def interrupted(*arguments, **named):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return means(*arguments, **named)

    if ended == "by Ctrl+C":
        monkeypatch.setattr(calibration, "refined_means", interrupted)
    else:
        (cases / "images" / "two.nii.gz").write_bytes(b"damaged")
    before = load_bundle("refiner").settings.get("temperature")
    status = main(["calibrate", "--bundle", "hippocampus-mr", "--data", str(cases), "--device", "cpu"])
    told = capsys.readouterr()
    assert status == (130 if ended == "by Ctrl+C" else 1) and "temperature " in told.out
    assert "Nothing is entered into the bundle." in told.err and "Traceback" not in told.err
    assert load_bundle("refiner").settings.get("temperature") == before
