"""Whether one target is as good as another, from pairs of answers: tests, comparisons, what to decide; pure."""
