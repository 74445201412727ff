"""The folder that a site server runs from: made, renewed and read here; the only room that writes secrets."""
