"""``breakeven.yaml`` and the environment, read and checked: the only part of the program that reads either.

It says what was configured; it starts nothing, opens no connection and stores nothing.  Secrets are
references in the file and ``Secret`` values after it, which show themselves to nobody by accident.
"""

from __future__ import annotations

from breakeven.settings.prices import PriceFound
from breakeven.settings.read import CONFIG_NAME, Overrides, Settings, config_schema, read_settings
from breakeven.settings.secret import Secret

__all__ = ["CONFIG_NAME", "Overrides", "PriceFound", "Secret", "Settings", "config_schema", "read_settings"]
