"""How long a string still carries its load: before a discharge from the maker's table, in one from what is seen."""
