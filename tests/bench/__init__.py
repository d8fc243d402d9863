"""The gateway as a client sees it: a real process between real clients and engines that behave and misbehave."""
