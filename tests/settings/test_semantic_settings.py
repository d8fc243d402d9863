"""``semantic_cache:`` as people get it right and wrong, and what they are told it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from breakeven.errors import InputError
from breakeven.gateway.snapshot import SemanticPlan, SemanticTask
from breakeven.settings import check_semantic as checking
from breakeven.settings import read_settings
from breakeven.settings.check import Findings
from breakeven.settings.check_semantic import check_semantic
from breakeven.settings.parts import parts_of
from breakeven.sources.yaml_file import parse_yaml
from breakeven.wiring.snapshot import build_snapshot

BASE = """
targets:
  openai: {url: "https://api.openai.com/v1", key: "env:OPENAI_API_KEY"}
  claude: {provider: anthropic, key: "env:OPENAI_API_KEY"}
models:
  small: {targets: [openai]}
  opus: {targets: [claude]}
"""
ENVIRONMENT = {"OPENAI_API_KEY": "sk-1"}


def _findings(section: str, base: str = BASE) -> Findings:
    document = parse_yaml(f"{base}semantic_cache: {section}\n", "breakeven.yaml")
    findings = Findings(document, Path(), ENVIRONMENT)
    check_semantic(parts_of(document.data), findings)
    return findings


def _told(found: list[Any]) -> str:
    return "\n".join(f"{problem.where}: {problem.what} {problem.fix}" for problem in found)


def _plan(section: str, folder: Path, base: str = BASE) -> SemanticPlan | None:
    path = folder / "breakeven.yaml"
    path.write_text(base + (f"semantic_cache: {section}\n" if section else ""), encoding="utf-8")
    return build_snapshot(read_settings(path, environment=ENVIRONMENT)).semantic


def test_without_the_section_nothing_is_compared(tmp_path: Path) -> None:
    assert _plan("", tmp_path) is None


def test_a_task_without_more_gets_the_defaults(tmp_path: Path) -> None:
    assert _plan("{embeddings: small, tasks: {faq: {}}}", tmp_path) == SemanticPlan(
        embeddings_model="small",
        tasks=(
            SemanticTask(
                name="faq",
                least_similarity_ratio=0.95,
                most_false_fraction=0.01,
                checked_fraction=0.05,
                ttl_s=3600,
                similar_answers=False,
                answer_similarity_ratio=0.97,
            ),
        ),
        max_entry_count=10_000,
        max_bytes=134_217_728,
        timeout_s=0.5,
    )


def test_everything_that_is_written_is_in_the_snapshot(tmp_path: Path) -> None:
    task = (
        "{similarity: 0.9, most_false_hits: 0.05, checked_share: 0.5, ttl_s: 60, same_answer: similar, "
        "answer_similarity: 0.99}"
    )
    section = f"{{embeddings: small, tasks: {{faq: {task}, b: {{}}}}, max_entries: 5, max_bytes: 65536, timeout_s: 1}}"
    plan = _plan(section, tmp_path)
    assert plan is not None
    assert [item.name for item in plan.tasks] == ["faq", "b"]
    assert (plan.max_entry_count, plan.max_bytes, plan.timeout_s) == (5, 65_536, 1)
    assert plan.tasks[0] == SemanticTask(
        name="faq",
        least_similarity_ratio=0.9,
        most_false_fraction=0.05,
        checked_fraction=0.5,
        ttl_s=60,
        similar_answers=True,
        answer_similarity_ratio=0.99,
    )


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ("{embeddings: small}", "semantic_cache.tasks"),
        ("{embeddings: small, tasks: {}}", "semantic_cache.tasks"),
        ("{tasks: {faq: {}}}", "semantic_cache.embeddings"),
        ("{embeddings: small, tasks: {two words: {}}}", "two words"),
        ("{embeddings: small, tasks: {faq: {similarity: 0.4}}}", "semantic_cache.tasks.faq.similarity"),
        ("{embeddings: small, tasks: {faq: {similarity: 95%}}}", "write 95 % as 0.95"),
        ("{embeddings: small, tasks: {faq: {most_false_hits: 0}}}", "semantic_cache.tasks.faq.most_false_hits"),
        ("{embeddings: small, tasks: {faq: {most_false_hits: 0.6}}}", "semantic_cache.tasks.faq.most_false_hits"),
        ("{embeddings: small, tasks: {faq: {checked_share: 0}}}", "semantic_cache.tasks.faq.checked_share"),
        ("{embeddings: small, tasks: {faq: {same_answer: alike}}}", "semantic_cache.tasks.faq.same_answer"),
        ("{embeddings: small, tasks: {faq: {threshold: 0.9}}}", "semantic_cache.tasks.faq.threshold"),
        ("{embeddings: small, tasks: {faq: {}}, timeout_s: 0}", "semantic_cache.timeout_s"),
    ],
)
def test_what_is_out_of_bounds_is_refused_with_its_place(section: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        _plan(section, tmp_path)
    assert place in str(caught.value)


def test_the_model_that_makes_vectors_must_be_there() -> None:
    told = _told(_findings("{embeddings: smal, tasks: {faq: {}}}").problems)
    assert "breakeven.yaml:8 semantic_cache.embeddings: there is no model 'smal'." in told
    assert "Name one whose target does: small." in told


def test_its_target_must_speak_embeddings() -> None:
    told = _told(_findings("{embeddings: opus, tasks: {faq: {}}}").problems)
    assert "no target of 'opus' is known to speak embeddings" in told
    assert "Name one whose target does: small." in told


def test_where_no_target_does_the_advice_is_to_add_one() -> None:
    base = "targets: {c: {provider: anthropic, key: 'env:OPENAI_API_KEY'}}\nmodels: {opus: {targets: [c]}}\n"
    told = _told(_findings("{embeddings: opus, tasks: {faq: {}}}", base).problems)
    assert "Add one under models: whose target speaks embeddings (protocols: [embeddings])." in told


@pytest.mark.parametrize(
    ("base", "fine"),
    [
        (BASE, True),
        (f"{BASE}  '*': {{targets: [claude]}}\n", True),
        (BASE.replace("small:", "'*':"), True),
        (BASE.replace("small:", "'*':").replace("[openai]", "[claude]"), False),
        (BASE.replace("[openai]", "[claude, openai]"), True),
        (BASE.replace("[openai]", "[nowhere]"), True),  # that there is no such target is told with the model
        (BASE.replace("{targets: [openai]}", "{targets: 3}"), True),  # likewise
    ],
)
def test_what_speaks_embeddings_is_looked_up_as_a_request_would_be(base: str, fine: bool) -> None:
    assert (_findings("{embeddings: small, tasks: {faq: {}}}", base).problems == []) is fine


def test_the_warning_says_what_it_does_and_when_it_begins() -> None:
    findings = _findings("{embeddings: small, tasks: {faq: {}, odd: {most_false_hits: 0.001, similarity: 0.98}}}")
    assert findings.problems == []
    faq, odd = findings.warnings
    assert faq.where == "breakeven.yaml:8 semantic_cache.tasks.faq"
    assert "may get the answer to another question of the same key" in faq.what
    assert "2 to 4 % of distinct ones have another above 0.95" in faq.what
    assert "at most 1 % false hits (about 426 right ones in a row" in faq.what
    assert "cosine of 0.98" in odd.what
    assert "at most 0.1 % false hits (about 4,277 right ones" in odd.what


def test_without_the_package_for_it_the_advice_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "find_spec", lambda _: None)
    told = _told(_findings("{embeddings: small, tasks: {faq: {}}}").problems)
    assert "pip install 'breakeven[similar]'" in told


def test_a_section_that_is_wrong_elsewhere_is_left_to_the_check_of_the_whole() -> None:
    findings = _findings("3")
    assert (findings.problems, findings.warnings) == ([], [])


def test_a_file_without_the_section_has_nothing_to_say() -> None:
    document = parse_yaml(BASE, "breakeven.yaml")
    findings = Findings(document, Path(), ENVIRONMENT)
    check_semantic(parts_of(document.data), findings)
    assert (findings.problems, findings.warnings) == ([], [])
