"""How likely a unit is to fall below 80 % of its capacity within months, with the evidence; never "months left"."""
