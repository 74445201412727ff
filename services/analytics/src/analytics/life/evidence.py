"""What the odds of one unit rest on, in sentences for people: age, capacity, impedance, and what nobody has checked."""

from math import isnan

from analytics.impedance.follow import ImpedanceEstimate
from analytics.impedance.track import STATES
from analytics.life.follow import HAZARD_OF_STATE, LifeEstimate
from analytics.life.rules import LifeRules
from analytics.soh.belief import METHODS
from analytics.soh.follow import SohEstimate

NOT_VALIDATED = "the odds were never held against a fleet of failing batteries: compare units by them"


def evidence(
    unit: int, life: LifeEstimate, soh: SohEstimate, impedance: ImpedanceEstimate, rules: LifeRules
) -> tuple[str, ...]:
    """Return what speaks for and against the unit at this place (0 to N - 1), one sentence each."""
    return (_age(unit, life, rules), _capacity(unit, soh), _impedance(unit, impedance), NOT_VALIDATED)


def _age(unit: int, life: LifeEstimate, rules: LifeRules) -> str:
    own = rules.strings[int(rules.layout.string_of[unit])]
    age_frac, pace = float(life.age_frac[unit]), float(life.pace[unit])
    warmth = "" if isnan(pace) else f"; its temperature ages it {pace:.2f} times as fast as {own.design_degc:.0f} °C"
    if isnan(age_frac):
        return f"its age is unknown: nobody said when it was commissioned{warmth}"
    return f"{age_frac:.0%} of a design life of {own.design_years:g} years are used{warmth}"


def _capacity(unit: int, soh: SohEstimate) -> str:
    frac = float(soh.soh_frac[unit])
    if isnan(frac):
        return "its capacity is not proven: no discharge was deep enough or ended in a rest"
    method = METHODS[int(soh.method[unit])].replace("_", " ")
    return f"capacity {frac:.1%} ± {float(soh.soh_sd_frac[unit]):.1%} of the rated one by {method}"


def _impedance(unit: int, impedance: ImpedanceEstimate) -> str:
    code = int(impedance.state[unit])
    if code == 0:
        return "no impedance trend"
    own, times = float(impedance.own_frac[unit]), HAZARD_OF_STATE[code]
    against = "a provisional baseline" if impedance.is_provisional[unit] else "its own baseline"
    judged = "" if times == 1.0 else f"; the hazard is taken {times:g} times as high, which is judgement"
    return f"impedance {own:.2f} times {against}: {STATES[code]}{judged}"
