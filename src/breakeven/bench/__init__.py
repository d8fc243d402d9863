"""Measures a real endpoint: load in a closed or an open loop, a steady state, levels up to the knee.

``probe`` learns how the endpoint wants to be asked, ``prompts`` writes texts of given lengths, ``call`` carries one
request and times it, ``load`` keeps many under way, ``tally`` counts, and ``sweep`` goes from level to level.  It knows
nothing of files or prices, and what levels say of the hardware is ``capacity``'s.
"""
