"""What a cell at its cut-off under load is taken for."""

import pytest
from analytics.soc.memory import Source
from soc_room import BEGAN_S, chemistry, rules_of, told_at

LFP = chemistry("lfp")


@pytest.mark.parametrize("discharge_a", [5.0, 100.0])
def test_a_cell_at_its_cut_off_under_a_high_load_is_not_taken_for_empty(discharge_a):
    player = told_at(rules_of({"s1": LFP}), 0.15, 0.01)
    for k in range(20):
        told = player.see("discharge", BEGAN_S + k, 2.6, discharge_a)
    assert (told.source == Source.ANCHOR).all()
    assert (told.soc_frac < 0.05).all() == (discharge_a == 5.0)
    assert (told.soc_frac > 0.13).all() == (discharge_a == 100.0)
