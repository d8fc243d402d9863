"""Reads LiteLLM's ``config.yaml`` and writes what it says as a ``breakeven.yaml``, silent about nothing.

What its keys mean is told at https://docs.litellm.ai/docs/proxy/config_settings.
"""

from __future__ import annotations

from breakeven.settings.litellm.convert import Imported, read_litellm

__all__ = ["Imported", "read_litellm"]
