"""Shadows and shifts: copies of exchanges in, pairs and decisions out; a process beside the data plane."""
