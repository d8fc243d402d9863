"""How many nodes to hold, how to buy them, and what to leave to an API: sized on a forecast, judged out of sample."""
