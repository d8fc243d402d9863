"""Engines: software that serves a model, started and described here; nothing of routes or money."""
