"""Curves of the chemistry profiles: what is shipped is possible, what is impossible is refused with what to do."""

import re
from importlib.resources import files
from itertools import pairwise

import pytest
from cellkeeper.contract.chemistry import ProfileRefusedError, profiles, read_profile
from hypothesis import given
from hypothesis import strategies as st

NMC = (files("cellkeeper.contract") / "profiles" / "nmc.toml").read_text("utf-8")


def changed(key, value):
    """Return the profile's text with one line of `[estimate]` replaced."""
    text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", NMC, count=1, flags=re.MULTILINE)
    assert count == 1
    return text


@pytest.mark.parametrize("name", profiles())
def test_every_chemistry_says_what_its_voltage_tells(name):
    profile = profiles()[name]
    curve = profile.estimate
    assert curve.curve == ("flat" if name in {"lfp", "nicd", "nizn"} else "sloped")
    assert list(curve.ocv_v) == sorted(curve.ocv_v)
    assert curve.ocv_v[0] >= profile.lowest_v
    assert curve.ocv_v[-1] < profile.highest_v
    assert curve.full.hold_v <= curve.full.at_v <= profile.boost_v
    assert not curve.validated_on, "name the measured cell in docs/estimates/soc.md, too"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (
            "ocv_v",
            "[3.0, 3.3, 3.4, 3.6, 3.5, 3.7, 3.8, 3.85, 3.9, 4.0, 4.1, 4.18]",
            r"3\.6 V is followed by 3\.5 V; smooth",
        ),
        ("ocv_v", "[3.0, 3.3, 3.4]", "3 values for 12 places; write one for each"),
        ("soc_frac", "[0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]", "rise from 0 to 1; sort it"),
        ("r0_ohm_ah", "[0.05, 0.04]", "2 values; write one, or 12"),
        ("tau1_s", "5000.0", "must be below tau2_s 900; exchange"),
        ("at_v", "4.5", "must lie from full.hold_v 4.16 to below 4.3"),
        ("ocv_sd_v", "0.0", "greater than 0"),
        ("r1_ohm_ah", "[-0.01]", "greater than 0"),
        ("ocv_sd_v", "nan", "finite number"),
    ],
)
def test_an_impossible_curve_is_refused_with_its_file_and_what_to_do(key, value, said):
    with pytest.raises(ProfileRefusedError, match=said) as refused:
        read_profile(changed(key, value), "mine.toml")
    assert str(refused.value).startswith("mine.toml: estimate")


def test_a_curve_of_a_whole_block_is_refused():
    high = changed("ocv_v", "[4.3, 4.32, 4.46, 4.59, 4.67, 4.73, 4.78, 4.85, 4.9, 4.92, 4.95, 4.99]")
    with pytest.raises(ProfileRefusedError, match="write volts of one cell"):
        read_profile(high, "mine.toml")


def test_a_typo_is_refused():
    with pytest.raises(ProfileRefusedError, match=r"mine\.toml: estimate\.rests_s: Extra inputs"):
        read_profile(NMC.replace("rest_s =", "rests_s ="), "mine.toml")


def test_what_is_no_toml_is_refused():
    with pytest.raises(ProfileRefusedError, match=r"mine\.toml: .*correct the file"):
        read_profile("name = ", "mine.toml")


@given(st.lists(st.floats(2.9, 4.25), min_size=12, max_size=12))
def test_only_rising_curves_are_taken(volts):
    rises = all(low < high for low, high in pairwise(volts))
    text = changed("ocv_v", str(volts))
    if rises:
        assert read_profile(text, "mine.toml").estimate.ocv_v == tuple(volts)
    else:
        with pytest.raises(ProfileRefusedError):
            read_profile(text, "mine.toml")
