"""The section ``batches`` of the settings: what is wrong is said, with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from breakeven.errors import InputError
from breakeven.wiring.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from breakeven.settings import Settings

BEGINNING = "targets: {sold: {url: 'http://127.0.0.1:1/v1'}}\nmodels: {m: {targets: [sold]}}\n"


def loaded(folder: Path, section: str) -> Settings:
    path = folder / "breakeven.yaml"
    path.write_text(BEGINNING + section)
    return load_settings(path)


@pytest.mark.parametrize(
    ("section", "what"),
    [
        ("batches: {provider: {target: solt}}", "Did you mean 'sold'"),
        ("batches: {slots: 0}", "slots"),
        ("batches: {max_share: 1.5}", "max_share"),
        ("batches: {hours: -1}", "hours"),
        ("batches: {slot: 4}", "slot"),
    ],
)
def test_what_is_wrong_is_an_input_error_with_its_place(tmp_path: Path, section: str, what: str) -> None:
    with pytest.raises(InputError) as refused:
        loaded(tmp_path, section)
    assert what in str(refused.value)
    assert "batches" in str(refused.value)


def test_a_provider_that_could_never_be_asked_is_warned_of(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "batches: {hours: 20, provider: {target: sold, hours: 12}}")
    assert any("no time left" in str(warning) for warning in settings.warnings)
    calm = loaded(tmp_path, "batches: {hours: 12, provider: {target: sold, hours: 12}}")
    assert not any("no time left" in str(warning) for warning in calm.warnings)


def test_without_the_section_nothing_is_served(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").file.batches is None
    assert loaded(tmp_path, "batches: {}").file.batches is not None
