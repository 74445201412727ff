"""`cellkeeper analyse`: the estimators of the running service on a recorded file, and what they make of it."""
