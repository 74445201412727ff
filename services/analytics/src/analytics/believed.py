"""What is believed of units: what one estimator hands to the next, and what the record of a discharge keeps."""

from analytics.checked_frozen import checked_frozen
from analytics.readings import Floats


@checked_frozen
class Believed:
    """Charge and capacity as fractions with standard deviations: (N,), or (n,) of one string; NaN where unknown."""

    soc_frac: Floats
    soc_sd_frac: Floats
    soh_frac: Floats
    soh_sd_frac: Floats

    def of(self, span: slice) -> "Believed":
        """Return those of some units."""
        return Believed(self.soc_frac[span], self.soc_sd_frac[span], self.soh_frac[span], self.soh_sd_frac[span])
