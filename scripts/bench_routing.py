"""Routing policies on the labelled answers of a folder, beside what was known of them, and thresholds on new rows.

    python scripts/bench_routing.py FOLDER

FOLDER holds ``routellm_mmlu_gsm8k.csv.gz`` (lm-sys/RouteLLM, Apache-2.0: prompt, bench, domain, weak, strong) and
``llmrouter_12tasks.csv.gz`` (ulab-uiuc/LLMRouter, MIT: prompt, task, and a column for each model).  Neither is part
of this repository.
"""

from __future__ import annotations

import csv
import gzip
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from breakeven.routing.task_classifier import classified
from breakeven.studies.routes.pairs import folds
from breakeven.studies.routes.scores import by_task
from breakeven.studies.routes.sure import sure_threshold
from breakeven.wiring.route import PairsRequest, read_pairs, run_route_eval
from breakeven.wiring.route_files import TrainRequest, run_route_train

STRONG = "llama-3.1-nemotron-51b-instruct"
REPEATS = 200
LEVEL = 0.95


@dataclass(frozen=True)
class Case:
    """A pair of models on a set of prompts, and the best APGR known beforehand with what reached it."""

    name: str
    request: PairsRequest
    known: str


def cases(folder: Path, scratch: Path) -> list[Case]:
    """Return the pairs of models; RouteLLM's two benchmarks are written apart."""
    source = folder / "routellm_mmlu_gsm8k.csv.gz"
    llm = folder / "llmrouter_12tasks.csv.gz"
    for bench in ("mmlu", "gsm8k"):
        _part(source, bench, scratch / f"{bench}.csv")
    return [
        Case(
            "MMLU, Mixtral-8x7B to GPT-4", _request(scratch / "mmlu.csv", "weak", "strong", "domain"), "task mean .665"
        ),
        Case("GSM8K, Mixtral-8x7B to GPT-4", _request(scratch / "gsm8k.csv", "weak", "strong", None), "MiniLM LR .636"),
        Case(
            "LLMRouter, llama-3.1-8b",
            _request(llm, "llama-3.1-8b-instruct", STRONG, "task"),
            "task mean .848 (14 tasks)",
        ),
        Case(
            "LLMRouter, qwen2.5-7b", _request(llm, "qwen2.5-7b-instruct", STRONG, "task"), "task mean .884 (14 tasks)"
        ),
    ]


def _part(source: Path, bench: str, out: Path) -> None:
    with (
        gzip.open(source, "rt", encoding="utf-8", newline="") as file,
        out.open("w", encoding="utf-8", newline="") as to,
    ):
        rows = csv.DictReader(file)
        writer = csv.DictWriter(to, rows.fieldnames or [])
        writer.writeheader()
        writer.writerows(row for row in rows if row["bench"] == bench)


def _request(file: Path, weak: str, strong: str, task: str | None) -> PairsRequest:
    return PairsRequest(file=file, weak=weak, strong=strong, task=task, prompt="prompt")


def table(found: list[Case]) -> str:
    """Return a Markdown table of all policies on all pairs of models, and what is noted of them."""
    lines = [
        "| data | policy | APGR (95 %) | unseen tasks | saved (sure) at 95 % | at 98 % | at 99 % |",
        "|---|---|---|---|---|---|---|",
    ]
    notes = []
    for case in found:
        judged = run_route_eval(case.request)
        notes += [f"{case.name}: {note}" for note in judged.notes]
        for item in judged.policies:
            interval = f" [{item.apgr_low_fraction or 0:.2f}, {item.apgr_high_fraction or 0:.2f}]"
            unseen = "" if item.unseen_apgr_fraction is None else f"{item.unseen_apgr_fraction:.3f}"
            saved = [f"{s.saving_fraction:.0%} ({s.sure_saving_fraction:.0%})" for s in item.savings]
            cells = [case.name, item.policy, f"{item.apgr_fraction or 0:.3f}{interval}", unseen, *saved]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append(f"| {case.name} | best known beforehand | {case.known} | | | | |")
    return "\n".join([*lines, "", *notes])


def kept(case: Case, calibration: int) -> str:
    """Say how often a threshold set on so many rows kept its level on the others: point estimate and lower bound."""
    draw = np.random.default_rng(1)
    pairs = read_pairs(case.request, draw)
    scores = by_task(pairs, folds(len(pairs.weak), 5, draw))
    missed = {"point estimate": 0, "lower bound": 0}
    for _ in range(REPEATS):
        order = draw.permutation(len(pairs.weak))
        own, others = order[:calibration], order[calibration:]
        for name in missed:
            part = pairs.kept(own)
            cut = (
                sure_threshold(scores[own], part, LEVEL)
                if name == "lower bound"
                else _point(scores[own], part.weak, part.strong)
            )
            quality = np.where(scores[others] >= cut, pairs.strong[others], pairs.weak[others]).sum()
            missed[name] += bool(quality < LEVEL * pairs.strong[others].sum())
    told = ", ".join(f"{name} missed {count / REPEATS:.0%}" for name, count in missed.items())
    return f"{case.name}, thresholds for {LEVEL:.0%} set on {calibration:,} rows: {told}"


def _point(scores: np.ndarray, weak: np.ndarray, strong: np.ndarray) -> float:
    """Return the highest threshold that keeps the level on these rows, without any allowance for chance."""
    cuts = [np.inf, *np.unique(scores)[::-1]]
    good = (cut for cut in cuts if np.where(scores >= cut, strong, weak).sum() >= LEVEL * strong.sum())
    return float(next(good, -np.inf))


def inference(folder: Path) -> str:
    """Say what a classifier of twelve tasks reaches and how long it takes for a prompt."""
    file = folder / "llmrouter_12tasks.csv.gz"
    found = run_route_train(TrainRequest(file=file, prompt="prompt", task="task"), None)
    with gzip.open(file, "rt", encoding="utf-8", newline="") as opened:
        prompts = [row["prompt"] for row in csv.DictReader(opened)][:2000]
    seconds = []
    for prompt in prompts:
        begun = perf_counter()
        classified(found.classifier, prompt)
        seconds.append(perf_counter() - begun)
    p50, p95, p99 = 1000 * np.percentile(seconds, (50, 95, 99))
    longest = "x y, z 1. " * 300
    begun = perf_counter()
    for _ in range(200):
        classified(found.classifier, prompts[0] + longest)
    return (
        f"Classifier of {len(found.tasks)} tasks: {found.accuracy_fraction:.1%} right without abstaining; told "
        f"{found.kept_fraction:.1%}, of which {found.kept_right_fraction or 0:.1%} right. Milliseconds a prompt: "
        f"p50 {p50:.3f}, "
        f"p95 {p95:.3f}, p99 {p99:.3f}; the longest that is read {5 * (perf_counter() - begun):.3f}."
    )


def main() -> int:
    """Print everything."""
    csv.field_size_limit(1 << 30)
    folder = Path(sys.argv[1]) if len(sys.argv) == 2 else None
    if folder is None or not (folder / "llmrouter_12tasks.csv.gz").exists():
        sys.stderr.write(f"{__doc__}\n")
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        found = cases(folder, Path(scratch))
        print(table(found))
        for case in (found[0], found[3]):
            for rows in (200, 1000):
                print(kept(case, rows))
    print(inference(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
