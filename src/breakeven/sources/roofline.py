"""Reads what the roofline knows: fitted rates and bands, engines, links, and shapes of models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from breakeven.catalog.roofline import (
    Anchor,
    Band,
    Doubt,
    EngineLimits,
    EngineRates,
    Likeness,
    LinkSpeed,
    ModelShape,
    Provenance,
    Rates,
    Roofline,
)
from breakeven.sources.catalogue import DATA, load_book
from breakeven.sources.yaml_file import check, check_rows, read_yaml

FITTED = DATA / "roofline.yaml"
"""Written by ``make fit-roofline``; the other files are written by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The file of what was fitted."""

    provenance: Provenance
    rates: Rates
    engines: tuple[EngineRates, ...]
    bands: tuple[Band, ...]
    likenesses: tuple[Likeness, ...]
    doubts: tuple[Doubt, ...]


@cache
def load_roofline() -> Roofline:
    """Return the bundled roofline.  Raises ``InputError`` when one of its files breaks its rules."""
    return roofline_of(check(read_yaml(FITTED), Fitted))


def roofline_of(fitted: Fitted) -> Roofline:
    """Join what was fitted with the facts that were not."""
    book = load_book()
    shapes = check_rows(read_yaml(DATA / "roofline_models.yaml"), ModelShape)
    architectures = {
        shape.model: shape.architecture(book.models[shape.model].architecture if shape.model in book.models else None)
        for shape in shapes
    }
    return Roofline(
        rates=fitted.rates,
        engines={item.engine: item for item in fitted.engines},
        limits={item.engine: item for item in check_rows(read_yaml(DATA / "roofline_engines.yaml"), EngineLimits)},
        links={item.gpu: item for item in check_rows(read_yaml(DATA / "roofline_links.yaml"), LinkSpeed)},
        bands=fitted.bands,
        architectures=architectures,
        provenance=fitted.provenance,
        likenesses=fitted.likenesses,
        doubts=fitted.doubts,
        anchors=tuple(
            Anchor(measurement=row, architecture=architectures[row.model], gpu=book.gpus[row.gpu])
            for row in book.measurements
            if not row.fault
        ),
    )
