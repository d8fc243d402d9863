"""A scenario as text: what was answered as keys, all else as commented examples to uncomment.

Lines of explanation begin with "# " and a word; a commented example has its key right after the mark.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.sources.answers import Answers, Hardware

_HEAD: Final = """\
# A scenario: what you know better than any catalogue.  Every key is optional; to use an example that
# is commented out, take its mark away.  `breakeven schema scenario` prints what editors can check against.
# Then: breakeven plan LOG --scenario FILE
"""

_SECTIONS: Final = (
    ("today", "What serves the traffic now: provider:model, or a model's name.", ("today: openai:gpt-4o",)),
    (
        "consider",
        "Models and targets to compare it with; without any, the usual ones.",
        ("consider: [llama-3.3-70b, openai:gpt-4o-mini]",),
    ),
    (
        "traffic",
        "Totals of a month.  With a log they stay out; then total_tokens_per_month scales the log to another volume.",
        ("traffic:", "  total_tokens_per_month: 4_200_000_000"),
    ),
    (
        "pools",
        "Pools of your own, beside those that the catalogue's offers make possible.",
        (
            "pools:",
            "  - model: llama-3.3-70b",
            "    gpu: h100-sxm",
            "    gpus_per_node: 4",
            "    precision: fp8",
            "    usd_per_gpu_hour: 2.10",
            "    throughput: {output_tokens_per_s: 2600}",
        ),
    ),
    (
        "constraints",
        "What excludes an option before any cost.",
        ("constraints:", "  data_may_leave: false", "  regions: [eu]", "  compliance: [SOC 2 Type 2]"),
    ),
    (
        "tuning",
        "A model fine-tuned for this work: training, its people and a tuned API's dearer tokens join the bills.",
        ("tuning: {training_mtok: 20, runs_per_year: 4, variants: 1, api_training_usd_per_mtok: 25}",),
    ),
    (
        "quality",
        "Evidence that a model is good enough for this work: a word, labelled-pairs or a shadow comparison.",
        ("quality:", "  - {model: llama-3.3-70b, evidence: labelled-pairs, accuracy_ratio: 0.97}"),
    ),
    (
        "signals",
        "What published rules of thumb ask besides: a mature product, a bound on the slowest answers.",
        ("product_is_mature: true", "tail_latency_matters: true"),
    ),
    ("team_exists", "Whether the engineers who would run a pool are paid anyway.", ("team_exists: true",)),
    (
        "assumptions",
        "Your own figures in place of the catalogue's; `breakeven catalog assumptions` lists all keys.",
        (
            "assumptions:",
            "  engineer_usd_per_year: {low: 110000, likely: 130000, high: 160000, source: payroll}",
            "  downtime_usd_per_hour: 150",
        ),
    ),
)
"""Section, explanation, and the example that stands where nothing was answered."""


def scenario_text(answers: Answers) -> str:
    """Return the YAML of a scenario that holds these answers."""
    said = {
        "today": [f"today: {_yaml(answers.today)}"] if answers.today else [],
        "consider": [f"consider: {_yaml(list(answers.consider))}"] if answers.consider else [],
        "traffic": _traffic(answers),
        "pools": _pool(answers.hardware) if answers.hardware else [],
        "constraints": _constraints(answers),
        "quality": _quality(answers),
        "team_exists": [f"team_exists: {_yaml(answers.team_exists)}"] if answers.team_exists is not None else [],
    }
    parts = [_section(why, said.get(key) or [f"#{line}" for line in example]) for key, why, example in _SECTIONS]
    return "\n".join([_HEAD, f"name: {_yaml(answers.name)}\n", *parts])


def _section(why: str, lines: Iterable[str]) -> str:
    return "\n".join([f"# {why}", *lines, ""])


def _traffic(answers: Answers) -> list[str]:
    totals = {
        "input_tokens_per_month": answers.input_tokens_per_month,
        "output_tokens_per_month": answers.output_tokens_per_month,
        "requests_per_month": answers.requests_per_month,
    }
    lines = [f"  {key}: {value:_}" for key, value in totals.items() if value is not None]
    return ["traffic:", *lines] if lines else []


def _pool(pool: Hardware) -> list[str]:
    lines = [
        "pools:",
        f"  - model: {_yaml(pool.model)}",
        f"    gpu: {_yaml(pool.gpu)}",
        f"    gpus_per_node: {pool.gpus_per_node}",
        f"    precision: {pool.precision}",
    ]
    if pool.node_usd is not None:
        lines += [
            "    purchase: owned",
            f"    node_usd: {pool.node_usd:f}",
            "    already_owned: true             # paid for: only what it costs to run is avoidable",
        ]
    elif pool.usd_per_gpu_hour is not None:
        lines.append(f"    usd_per_gpu_hour: {pool.usd_per_gpu_hour:f}")
    else:
        lines.append("    #usd_per_gpu_hour: 2.10           # what you pay; else the catalogue's offers")
    lines += [
        f"    {key}: {_yaml(list(names))}"
        for key, names in (("regions", pool.regions), ("compliance", pool.compliance))
        if names
    ]
    if pool.output_tokens_per_s is not None:
        lines += [
            "    throughput:",
            f"      output_tokens_per_s: {pool.output_tokens_per_s:f}",
            "      #isl_tokens: 1500               # the input and output lengths at which it was measured",
            "      #osl_tokens: 250",
        ]
    else:
        lines.append("    #throughput: {output_tokens_per_s: 2600}  # what you measured; else the catalogue's")
    return lines


def _constraints(answers: Answers) -> list[str]:
    lines: list[str] = []
    if answers.data_may_leave is not None:
        lines.append(f"  data_may_leave: {_yaml(answers.data_may_leave)}")
    if answers.regions:
        lines.append(f"  regions: {_yaml(list(answers.regions))}")
    if answers.compliance:
        lines.append(f"  compliance: {_yaml(list(answers.compliance))}")
    if answers.fine_tuning is not None:
        lines.append(f"  fine_tuning: {_yaml(answers.fine_tuning)}")
    return ["constraints:", *lines] if lines else []


def _quality(answers: Answers) -> list[str]:
    if answers.accuracy_ratio is None:
        return []
    return [
        "quality:",
        f"  - model: {_yaml(answers.judged_model)}",
        "    evidence: word                  # or labelled-pairs, or shadow",
        f"    accuracy_ratio: {answers.accuracy_ratio:f}",
    ]


def _yaml(value: object) -> str:
    """Return a value as YAML on one line, quoted where it must be."""
    if isinstance(value, list):
        return f"[{', '.join(_listed(item) for item in value)}]"
    if _is_doubtful(value):
        return json.dumps(value, ensure_ascii=False)
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf)
    return text.removesuffix("...\n").strip()


def _listed(value: object) -> str:
    """Return a value as it stands in a list, where more must be quoted than by itself."""
    if _is_doubtful(value):
        return json.dumps(value, ensure_ascii=False)
    text: str = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=math.inf)
    return text.strip()[1:-1]


def _is_doubtful(value: object) -> bool:
    """Whether one reader of YAML takes for text what is a number to another."""
    return isinstance(value, str) and value[:1] in "+-.0123456789"
