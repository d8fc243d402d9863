"""A candidate beside what serves now, from pairs of answers: as good, how sure, how dear, how fast."""
