"""Reads what the program knows: the catalogue's files, genai-prices, local rate cards, scenarios.

Turns them into the frozen types of ``catalog``; it decides nothing.
"""
