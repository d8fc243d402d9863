"""Charts of a verdict, as data and as drawings: one module a chart, ``gallery`` lists them all.

They draw what the result holds and evaluate its cost curves; they compute nothing else.  Every colour
is one of ``PALETTE``, so that a page can recolour a drawing by matching its attributes.
"""
