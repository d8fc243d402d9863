"""A result in, a page out: terminal, HTML, JSON.  Nothing is computed here but how to show it."""
