"""A receiver for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from telemetry.otlp import OtlpReceiver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """A receiver that takes everything, unless a test says otherwise."""
    started = OtlpReceiver()
    yield started
    started.stop()
