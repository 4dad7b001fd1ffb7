"""What to do, decided purely: diff (the truth table), plan (its changes), explain (plan as text)."""
