"""Model files made small by solvq and by others: real bytes, and what the models still can do."""
