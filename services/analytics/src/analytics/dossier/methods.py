"""How a capacity was found, in sentences with every figure that was used. Pure."""

from typing import Final

from analytics.dossier.capacity import Method
from analytics.dossier.model import Dossier
from analytics.dossier.words import number

_METHODS: Final[dict[Method, str]] = {
    "time-adjusted": (
        "Time-adjusted method for lead-acid discharges of an hour or longer (IEEE 450/1188): capacity = time to the "
        "end voltage / (rated time at this current × K_T), with K_T = 1 + λ (T − T_ref)."
    ),
    "rate-adjusted": (
        "Rate-adjusted method for lead-acid discharges of less than an hour (IEEE 450/1188): capacity = current drawn "
        "× K_C / current that the maker's table gives for the time reached."
    ),
    "charge counted": (
        "Charge drawn to the end voltage over the rated charge at this current, corrected by K_T = 1 + λ (T − T_ref) "
        "with a typical λ of the chemistry; the maker's sheet wins where it says something else."
    ),
    "none": "No method could be used on this discharge.",
}


def method_sentences(dossier: Dossier) -> list[str]:
    """Return the method, the factor and the temperature it was used with, the uncertainty, and where rates are from."""
    capacity, context = dossier.capacity, dossier.basis.context
    found = [_METHODS[capacity.method]]
    if capacity.per_k is not None:
        found.append(
            f"λ = {capacity.per_k:.4f} per kelvin, T = {number(capacity.degc, 1)} °C (mean of the poles before the "
            f"discharge, used once), T_ref = {context.ref_degc:g} °C, so K_T = {number(capacity.factor, 4)}."
        )
    elif capacity.method == "rate-adjusted":
        degc, k_c = number(capacity.degc, 1), number(capacity.factor, 4)
        found.append(f"K_C = {k_c} at {degc} °C, T_ref {context.ref_degc:g} °C.")
    if capacity.iec_ah is not None:
        found.append(
            f"Beside it as in IEC 60896: {number(capacity.counted_ah, 2, 'Ah')} counted to the end voltage, "
            f"{number(capacity.iec_ah, 2, 'Ah')} at {context.ref_degc:g} °C, rated {context.rated_ah:g} Ah."
        )
    found.append(
        "Uncertainty: two standard deviations of current sensor, temperature (0.5 K), time between scans and seconds "
        "without a scan, added as squares. Clause values are typical ones; check them against the standard you work by."
    )
    table = context.table_id or ("a table of rates" if context.published_h else "no table of rates, rated point only")
    found.append(
        f"Rates: {table}. The onset is dated by the step of the voltage; the charge is counted from every scan."
    )
    return found
