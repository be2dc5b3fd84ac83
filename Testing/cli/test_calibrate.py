"""calibrate: the temperature lands in the refiner's bundle, where edits find it."""

from HiDiffRefineLib.bundles import load_bundle
from HiDiffRefineLib.cli.main import main
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
