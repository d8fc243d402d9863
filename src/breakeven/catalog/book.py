"""The book: all that the catalogue holds, found by name and date.  It is built once and only read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

from breakeven.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.catalog.assumptions import Assumption, Correlation
    from breakeven.catalog.hardware import Gpu, Measurement, MeasurementSource, OwnedNode, Rental
    from breakeven.catalog.models import ApiModel, OpenModel
    from breakeven.catalog.rate_card import PriceList

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Everything known, with the price lists that a study asked for (by ``provider:model``)."""

    gpus: Mapping[str, Gpu]
    rentals: tuple[Rental, ...]
    owned: tuple[OwnedNode, ...]
    models: Mapping[str, OpenModel]
    api_models: Mapping[str, ApiModel]
    measurements: tuple[Measurement, ...]
    measurement_sources: Mapping[str, MeasurementSource]
    assumptions: Mapping[str, Assumption]
    correlations: tuple[Correlation, ...] = ()

    price_lists: Mapping[str, PriceList] = field(default_factory=dict)

    def gpu(self, name: str) -> Gpu:
        """Find a GPU by id or alias."""
        return _find(name, self.gpus, "GPU", {alias: gpu.id for gpu in self.gpus.values() for alias in gpu.aliases})

    def model(self, name: str) -> OpenModel:
        """Find an open-weight model by id or alias."""
        aliases = {alias: model.id for model in self.models.values() for alias in model.aliases}
        return _find(name, self.models, "open-weight model", aliases)

    def has_model(self, name: str) -> bool:
        """Whether the name is that of an open-weight model."""
        try:
            self.model(name)
        except UnknownNameError:
            return False
        return True

    def assumption(self, key: str) -> Assumption:
        """Find an assumption by key."""
        return _find(key, self.assumptions, "assumption", {})

    def price_list(self, target: str) -> PriceList:
        """Find the price list of ``provider:model``."""
        return _find(target, self.price_lists, "price list", {})

    def rentals_of(self, gpu: str) -> tuple[Rental, ...]:
        """Return the offers of one GPU, cheapest first."""
        return tuple(sorted((r for r in self.rentals if r.gpu == gpu), key=lambda r: r.usd_per_gpu_hour))

    def measurements_of(self, model: str) -> tuple[Measurement, ...]:
        """Return what was measured of one model, its own rows first, then those of its twins.

        Twins have the same architecture: speed does not depend on the values of the weights.
        """
        known = self.models.get(model)
        twins = {m.id for m in self.models.values() if known and m.architecture == known.architecture}
        rows = (m for m in self.measurements if m.model == model or m.model in twins)
        return tuple(sorted(rows, key=lambda row: row.model != model))

    def with_prices(self, lists: Iterable[PriceList]) -> Book:
        """Return the book with more price lists; one for the same target replaces the older."""
        return replace(self, price_lists={**self.price_lists, **{item.target: item for item in lists}})

    def with_assumptions(self, assumptions: Iterable[Assumption]) -> Book:
        """Return the book with some assumptions replaced."""
        return replace(self, assumptions={**self.assumptions, **{item.key: item for item in assumptions}})


def _find(name: str, by_id: Mapping[str, T], what: str, aliases: Mapping[str, str]) -> T:
    folded = {key.lower(): key for key in by_id} | {alias.lower(): key for alias, key in aliases.items()}
    found = folded.get(name.lower())
    if found is not None:
        return by_id[found]
    near = get_close_matches(name.lower(), folded, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(dict.fromkeys(folded[n] for n in near))}?" if near else ""
    raise UnknownNameError(f"The catalogue holds no {what} named {name!r}.{hint}")
