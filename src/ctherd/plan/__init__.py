"""What to do, decided purely: diff (the truth table), plan (its changes), safety (its limits)."""
