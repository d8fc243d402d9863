"""Joins what ``init`` needs: answers checked against the catalogue, presets, and files written whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import BreakevenError, InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from breakeven.catalog.book import Book
    from breakeven.catalog.models import OpenModel, Precision
    from breakeven.sources.answers import Answers, Hardware
    from breakeven.sources.presets import Preset

USUAL_MODEL: Final = "llama-3.3-70b"
"""What a team's GPUs are taken to run where no open model is named."""

_PRECISIONS: Final[tuple[Precision, ...]] = ("fp8", "fp16", "int4")


def list_presets() -> tuple[Preset, ...]:
    """Return every preset."""
    from breakeven.sources.presets import presets

    return presets()


def preset_files(name: str, output: Path) -> dict[Path, str]:
    """Return the files that a preset consists of: the scenario at ``output``, others beside it."""
    from breakeven.sources.presets import preset

    found = preset(name)
    check_places([output])
    if output.name in found.companions:
        raise InputError(f"{output} is the name of a file that this preset writes beside: choose another.")
    return {output: found.text} | {output.with_name(other): text for other, text in found.companions.items()}


def check_answer(key: str, text: str, given: Mapping[str, str]) -> str:
    """Return an answer as it is to be kept, beside those ``given`` before.

    Raises a ``BreakevenError`` that says what is wrong with it, in words for the person who gave it.
    """
    value = _read(key, text)
    if key == "gpus":
        _hardware({key: value}, _read("open_models", given["open_models"]) if "open_models" in given else ())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return text


def answer_files(given: Mapping[str, str], output: Path) -> dict[Path, str]:
    """Return the scenario that these answers make, checked as ``plan`` will read it.

    ``given`` holds text by question.  Raises ``InputError`` with every problem in it.
    """
    from breakeven.sources.scenario import parse_scenario
    from breakeven.sources.scenario_text import scenario_text

    name = output.stem if output.stem.isprintable() else "scenario"
    text = scenario_text(_answers(given, name=name))
    parse_scenario(text, output.name)
    return {output: text}


def check_places(files: Iterable[Path]) -> list[Path]:
    """Return those of the files that are there already.  Raises ``InputError`` where none could be written."""
    paths = list(files)
    for path in paths:
        if path.is_dir():
            raise InputError(f"{path} is a folder. Name a file in it with --output, such as {path / 'scenario.yaml'}.")
        if not path.parent.is_dir():
            raise InputError(f"There is no folder {path.parent} to write to. Make it, or choose another with --output.")
        if not os.access(path.parent, os.W_OK):
            raise InputError(f"The folder {path.parent} may not be written to. Choose another with --output.")
    return [path for path in paths if path.exists() or path.is_symlink()]


def write_files(files: Mapping[Path, str], *, overwrite: bool) -> None:
    """Write every file or none.  Raises ``InputError`` where one is there already, or cannot be written."""
    there = check_places(files)
    if there and not overwrite:
        names = " and ".join(map(str, there))
        raise InputError(f"{names} would be overwritten. Name another file with --output, or allow it with --force.")
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in files}
    try:
        for path, part in parts.items():
            part.write_text(files[path], encoding="utf-8")
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        names = " and ".join(map(str, files))
        raise InputError(f"{names} cannot be written: {error.strerror or error}. Choose another place.") from error
    finally:
        for part in parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _answers(given: Mapping[str, str], *, name: str) -> Answers:
    from breakeven.sources.answers import Answers

    read: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, text in given.items():
        try:
            read[key] = _read(key, text)
        except BreakevenError as error:
            problems.append(Problem(where=_option(key), what=str(error)))
    problems += [Problem(where=_option(key), what=what) for key, what in _alone(given)]
    if problems:
        raise InputError("These answers make no scenario:", tuple(problems))
    consider = read.pop("open_models", ())
    hardware = _hardware(read, consider) if "gpus" in read else None
    for part in _OF_GPUS:
        read.pop(part, None)
    judged = consider[0] if consider else hardware.model if hardware else None
    judged_model = judged if "accuracy_ratio" in read else None
    return Answers(name=name, consider=consider, hardware=hardware, judged_model=judged_model, **read)


_OF_GPUS: Final = ("gpus", "gpu_price", "gpu_regions", "gpu_compliance", "output_tokens_per_s")
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(_OF_GPUS[1:], ("gpus",)),
    "input_tokens_per_month": ("output_tokens_per_month",),
    "output_tokens_per_month": ("input_tokens_per_month",),
    "requests_per_month": ("input_tokens_per_month",),
    "accuracy_ratio": ("open_models", "gpus"),
}
"""Answers that say nothing without one of these."""


def _alone(given: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (key, f"this counts only beside {' or '.join(_option(other) for other in others)}.")
        for key, others in _NEEDS.items()
        if key in given and not any(other in given for other in others)
    ]


def _hardware(read: Mapping[str, Any], consider: tuple[str, ...]) -> Hardware:
    """Return the pool that a team's GPUs make, running the first open model that it considers."""
    from breakeven.sources.answers import Hardware
    from breakeven.sources.catalogue import load_book

    book = load_book()
    model = book.model(next((name for name in consider if book.has_model(name)), USUAL_MODEL))
    gpus, gpu = read["gpus"]
    price, is_rent = read.get("gpu_price", (None, True))
    return Hardware(
        model=model.id,
        gpu=gpu,
        gpus_per_node=gpus,
        precision=_precision(book, model, gpu, gpus),
        usd_per_gpu_hour=price if is_rent else None,
        node_usd=None if is_rent else price,
        output_tokens_per_s=read.get("output_tokens_per_s"),
        regions=read.get("gpu_regions", ()),
        compliance=read.get("gpu_compliance", ()),
    )


def _precision(book: Book, model: OpenModel, gpu_id: str, gpus: int) -> Precision:
    """Return the first usual precision at which the weights fit, 8-bit floats only where the GPU computes them."""
    from breakeven.capacity.memory import weights_fit, weights_gb

    gpu = book.gpu(gpu_id)
    for precision in _PRECISIONS:
        usable = precision != "fp8" or gpu.fp8_tflops is not None
        if usable and weights_fit(model.total_parameters, precision, gpu, gpus=gpus):
            return precision
    need_gb, have_gb = weights_gb(model.total_parameters, _PRECISIONS[-1]), gpu.memory_gb * gpus
    raise InputError(
        f"{model.id} does not fit {gpus}x {gpu.id}: at 4 bits its weights take {need_gb:,.0f} GB of {have_gb:,.0f} GB. "
        "Name more GPUs, or a smaller model."
    )


def _read(key: str, text: str) -> Any:
    return _readers()[key](text)


def _readers() -> dict[str, Callable[[str], Any]]:
    """Return what reads each answer."""
    from breakeven.sources import answers

    return {
        "today": _target,
        "has_log": answers.yes_or_no,
        "input_tokens_per_month": answers.count,
        "output_tokens_per_month": answers.count,
        "requests_per_month": answers.count,
        "data_may_leave": answers.yes_or_no,
        "regions": answers.words,
        "compliance": answers.words,
        "fine_tuning": answers.yes_or_no,
        "open_models": _models,
        "gpus": _node,
        "gpu_price": answers.price,
        "gpu_regions": answers.words,
        "gpu_compliance": answers.words,
        "output_tokens_per_s": answers.positive,
        "team_exists": answers.yes_or_no,
        "accuracy_ratio": answers.ratio,
    }


def _target(text: str) -> str:
    from breakeven.sources.catalogue import load_book
    from breakeven.wiring.plan import find_prices

    find_prices(load_book(), text.strip())
    return text.strip()


def _models(text: str) -> tuple[str, ...]:
    """Return open models by id; a name with a provider is another target to compare with."""
    from breakeven.sources.answers import words
    from breakeven.sources.catalogue import load_book

    book = load_book()
    names = words(text)
    if not names:
        raise InputError("No model is named: write one such as llama-3.3-70b.")
    return tuple(dict.fromkeys(_target(name) if ":" in name else book.model(name).id for name in names))


def _node(text: str) -> tuple[int, str]:
    from breakeven.sources.answers import node
    from breakeven.sources.catalogue import load_book

    gpus, name = node(text)
    return gpus, load_book().gpu(name).id


def _option(key: str) -> str:
    """Return the option that answers a question; those that repeat stand in the singular."""
    singular = key.removesuffix("s") if key in ("regions", "gpu_regions", "open_models") else key
    return "--" + singular.replace("_", "-")
