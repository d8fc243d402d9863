"""Should we run the model ourselves, when, and how?  See ``study.verdict``."""
