"""Scores that other programs keep of answers: Langfuse's, TensorZero's, and evaluations as OpenTelemetry's events."""
