"""Is it slower than before? Two subjects in turns, a subject against a stored profile, a run against those before."""
