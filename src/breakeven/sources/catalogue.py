"""Reads the catalogue's own files into a book, and says what in them breaks its rules."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from breakeven.catalog.assumptions import Assumption, Correlation
from breakeven.catalog.book import Book
from breakeven.catalog.hardware import Gpu, Measurement, MeasurementSource, OwnedNode, Rental
from breakeven.catalog.models import ApiModel, OpenModel
from breakeven.sources.yaml_file import Document, check_rows, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA: Final = Path(str(files("breakeven.catalog") / "data"))


@cache
def load_book() -> Book:
    """Return the bundled catalogue, without API prices (``Book.with_prices`` adds those asked for)."""
    return Book(
        gpus={gpu.id: gpu for gpu in check_rows(read_yaml(DATA / "gpus.yaml"), Gpu)},
        rentals=check_rows(read_yaml(DATA / "rentals.yaml"), Rental),
        owned=check_rows(read_yaml(DATA / "owned.yaml"), OwnedNode),
        models={model.id: model for model in check_rows(read_yaml(DATA / "models.yaml"), OpenModel)},
        api_models={model.id: model for model in check_rows(read_yaml(DATA / "api_models.yaml"), ApiModel)},
        measurements=check_rows(_throughput(DATA / "throughput.csv"), Measurement),
        measurement_sources={
            item.key: item for item in check_rows(read_yaml(DATA / "throughput_sources.yaml"), MeasurementSource)
        },
        assumptions={item.key: item for item in check_rows(read_yaml(DATA / "assumptions.yaml"), Assumption)},
        correlations=check_rows(read_yaml(DATA / "correlations.yaml"), Correlation),
    )


_COLUMNS: Final = {"n_gpus": "gpus", "concurrency": "concurrency_count"}


def _throughput(path: Path) -> Document:
    """Return the throughput table as rows; an empty cell is an absent key."""
    with path.open(encoding="utf-8", newline="") as file:
        rows: Iterator[dict[str, str]] = csv.DictReader(file)
        data = [{_COLUMNS.get(key, key): value for key, value in row.items() if value} for row in rows]
    return Document(name=path.name, data=data, lines={(index,): index + 2 for index in range(len(data))})
