"""Questions that vectors hold for the same and that are not: their marks differ; of those that are, they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breakeven.similar.marks import Marks, read_marks


def _may_match(one: str, other: str) -> bool:
    """Whether an index would compare the vectors of the two."""
    first, second = read_marks(one), read_marks(other)
    reordered = sorted(first.words) == sorted(second.words) and first.words != second.words
    return first.told == second.told and not reordered


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # https://github.com/vllm-project/semantic-router/issues/2691
        ("turn on dark mode", "turn off dark mode"),
        # Reversals, as in https://github.com/zilliztech/GPTCache/issues/694
        ("How do I get from Alice to Bob?", "How do I get from Bob to Alice?"),
        ("convert euros to dollars", "convert dollars to euros"),
        ("does the dog bite the man", "does the man bite the dog"),
        # Numbers, signs and units
        ("What is 15 % of 200?", "What is 15 % of 300?"),
        ("What is 3.5 squared?", "What is 35 squared?"),
        ("Is it -5 outside?", "Is it 5 outside?"),
        ("Give a dose of 5 mg", "Give a dose of 5 g"),
        ("Give a dose of 5mg", "Give a dose of 5g"),
        ("a plan of 3 months", "a plan of 3 years"),
        ("a plan of three months", "a plan of two months"),
        ("What is x²?", "What is x³?"),
        ("Subtract 3 from 5", "Subtract 5 from 3"),
        ("fares on 2026-11-21", "fares on 2026-11-22"),
        ("upgrade to 1.2.3", "upgrade to 1.2.4"),
        # Negations
        ("Can I return it?", "Can I not return it?"),
        ("Why can I log in?", "Why can't I log in?"),
        ("Why can I log in?", "Why can\u2019t I log in?"),
        ("pizza with cheese", "pizza without cheese"),
        ("Is this refundable?", "Is this non-refundable?"),
        ("how to install it", "how to uninstall it"),
        ("is it locked", "is it unlocked"),
        ("Ist das erlaubt?", "Ist das nicht erlaubt?"),
        ("C'est permis ?", "Ce n'est pas permis ?"),
        ("Alice is not late but Bob is", "Alice is late but Bob is not"),
        # Opposites
        ("enable two-factor login", "disable two-factor login"),
        ("enabling it", "disabling it"),
        ("tasks before lunch", "tasks after lunch"),
        ("the min value", "the max value"),
        ("increase my limit", "decrease my limit"),
        ("how to sign in", "how to sign out"),
        ("how to opt-in", "how to opt-out"),
        ("Who moved the cheese?", "When was the cheese moved?"),
        # Quotes, addresses, code
        ('What does "ad hoc" mean?', 'What does "ad lib" mean?'),
        ("What does “ad hoc” mean?", "What does “ad lib” mean?"),
        ("what does 'ls' do", "what does 'cp' do"),
        ("what is `a`", "what is `b`"),
        ("write to a@acme.example", "write to b@acme.example"),
        ("read https://acme.example/a please", "read https://acme.example/b please"),
        ("what does ls -a do", "what does ls -l do"),
        ("what is np.sum for", "what is np.prod for"),
        ("what is snake_case for", "what is other_case for"),
        ("if a < b", "if a > b"),
        ("if x == y", "if x != y"),
        ("what does a * b do", "what does a / b do"),
        # Names
        ("Where is Paris?", "Where is London?"),
        ("is C# fast", "is C++ fast"),
        ("is it for iOS", "is it for macOS"),
        ("IBM shares", "SAP shares"),
        # Without capitals no names can be told, so every word counts
        ("如何开启深色模式", "如何关闭深色模式"),
        ("كيف أعيد كلمة المرور", "كيف أغير كلمة المرور"),
    ],
)
def test_questions_that_are_not_the_same_are_told_apart(one: str, other: str) -> None:
    assert not _may_match(one, other)
    assert _may_match(one, one)
    assert _may_match(other, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "how can I reset my password"),
        ("How do I reset my password?", "I would like to reset my password, please!"),
        ("Cancel my order", "How can I cancel an order?"),
        ("I can't log in", "Can I not log in?"),
        ("Where is Alice's car?", "Where did they put the car of Alice?"),
        ("  Is it\ndelivered in Berlin? ", "Do you deliver to Berlin?"),
        ("How do I enable it?", "What about enabling that?"),
        ("(How do I pay?)", "How do I pay - please?"),
        ("is it 5%?", "is it (5%)"),
        ("caf\u00e9 hours", "cafe\u0301 hours"),
    ],
)
def test_paraphrases_are_left_to_their_vectors(one: str, other: str) -> None:
    assert _may_match(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("is paris large", "is london large"),
        ("Paris in the spring", "London in the spring"),
        ("does acme own foo", "is acme owned by foo"),
        ("är det öppet", "är det inte öppet"),
    ],
)
def test_what_it_cannot_see_is_as_its_docstring_says(one: str, other: str) -> None:
    assert _may_match(one, other)


def test_marks_stand_in_the_order_of_the_text() -> None:
    found = read_marks("Did Alice pay Bob 5 EUR before Monday, or not?")
    assert found == Marks(
        ("Alice", "Bob", "5", "eur", "before", "Monday", "not"),
        ("did", "alice", "pay", "bob", "5", "eur", "before", "monday", "or", "not"),
    )


@given(st.text())
def test_every_text_has_marks(text: str) -> None:
    assert read_marks(text) == read_marks(text)


@given(st.text(min_size=1), st.integers(0, 10**6), st.integers(0, 10**6))
def test_another_number_is_always_seen(text: str, one: int, other: int) -> None:
    assert _may_match(f"{text} {one}", f"{text} {other}") == (one == other)
