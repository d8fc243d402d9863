"""Writes a small llama model of random weights as a GGUF file: a real engine loads it, and says nothing sensible.

For demonstrations and tests: shapes, token counts and timings are those of a real engine, the text is noise.
The vocabulary is the 256 bytes and a few marks, so that no tokeniser has to be fetched from anywhere; what is said is
letters, so that every answer has text (half a character is none).  Needs ``gguf`` and numpy, which are imported only
here and only when a file is written.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from breakeven.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from gguf import GGUFWriter

END_OF_TEXT, TURN_BEGINS, TURN_ENDS, PADDING = MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<pad>")

CHAT_TEMPLATE: Final = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML, which most open models use in one form or another."""

_VOCABULARY_MULTIPLE: Final = 32
"""Vocabularies are filled up to a multiple of this: matrix kernels work in blocks of 32 rows."""

_WEIGHT_SPREAD: Final = 0.02
"""Standard deviation of the weights, as models are initialised before training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaShape:
    """The sizes of a llama model."""

    channel_count: int
    """Width of the residual stream."""

    feed_forward_count: int
    layers: int
    head_count: int
    kv_heads: int
    head_size: int
    context_tokens: int


TINY: Final = LlamaShape(
    channel_count=256,
    feed_forward_count=512,
    layers=2,
    head_count=4,
    kv_heads=2,
    head_size=64,
    context_tokens=8192,
)
"""1.3 million parameters, 2.5 MB: thousands of tokens a second on one core."""


def write_random_llama(path: Path, *, shape: LlamaShape = TINY, name: str = "tiny", seed: int = 0) -> None:
    """Write a model of that shape; the same seed gives the same file.

    Raises ``MissingExtraError`` without ``gguf`` or numpy, and ``OSError`` when the file cannot be written.
    """
    if importlib.util.find_spec("gguf") is None or importlib.util.find_spec("numpy") is None:
        raise MissingExtraError("A model file can only be written with the packages gguf and numpy: pip install gguf")
    import gguf  # noqa: PLC0415 - an extra, and 30 MB of memory that no other command should pay for

    writer = gguf.GGUFWriter(path, "llama")
    _describe(writer, shape, name)
    words = vocabulary()
    _add_tokeniser(writer, words)
    _add_weights(writer, shape, [_is_said(word) for word in words], seed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def vocabulary() -> list[str]:
    """Return the marks, one token a byte (in GPT-2's printable spelling), one merge, and filling."""
    words = [*MARKS, *_printable_bytes(), "th"]
    while len(words) % _VOCABULARY_MULTIPLE:
        words.append(f"<|reserved_{len(words)}|>")
    return words


def _printable_bytes() -> list[str]:
    """Return a character for each byte: its own where that is printable, else one from 256 up, as GPT-2 does."""
    own = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    foreign = iter(range(0x100, 0x200))
    return [chr(byte) if byte in own else chr(next(foreign)) for byte in range(0x100)]


def _is_said(word: str) -> bool:
    """Whether it is ever said: printable ASCII, and the end of a turn."""
    return word == TURN_ENDS or (word.isascii() and len(word) <= len("th"))


def _describe(writer: GGUFWriter, shape: LlamaShape, name: str) -> None:
    writer.add_name(name)
    writer.add_context_length(shape.context_tokens)
    writer.add_embedding_length(shape.channel_count)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward_count)
    writer.add_head_count(shape.head_count)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)


def _add_tokeniser(writer: GGUFWriter, words: list[str]) -> None:
    from gguf import TokenType  # noqa: PLC0415 - see write_random_llama

    kinds = [
        TokenType.CONTROL if w in MARKS else TokenType.UNUSED if w.startswith("<|reserved") else TokenType.NORMAL
        for w in words
    ]
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges(["t h"])  # the format wants at least one
    writer.add_bos_token_id(words.index(END_OF_TEXT))
    writer.add_eos_token_id(words.index(TURN_ENDS))
    writer.add_pad_token_id(words.index(PADDING))
    writer.add_add_bos_token(value=False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _add_weights(writer: GGUFWriter, shape: LlamaShape, is_said: list[bool], seed: int) -> None:
    import numpy as np  # noqa: PLC0415 - see write_random_llama

    chance = np.random.default_rng(seed)
    hidden, feed_forward = shape.channel_count, shape.feed_forward_count
    queries, keys = shape.head_count * shape.head_size, shape.kv_heads * shape.head_size

    def drawn(*size: int) -> Any:
        return (chance.standard_normal(size, dtype=np.float32) * _WEIGHT_SPREAD).astype(np.float16)

    def add_random(tensor: str, *size: int) -> None:
        writer.add_tensor(f"{tensor}.weight", drawn(*size))

    def add_ones(tensor: str) -> None:
        writer.add_tensor(f"{tensor}.weight", np.ones(hidden, dtype=np.float32))

    # The output matrix is the same one: none is written.  A row of zeros has a likelihood in the middle of all
    # words, and engines sample from the most likely ones alone: such a word is read, but not said.
    words = drawn(len(is_said), hidden)
    words[np.logical_not(is_said)] = 0
    writer.add_tensor("token_embd.weight", words)
    add_ones("output_norm")
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        add_ones(f"{block}.attn_norm")
        add_ones(f"{block}.ffn_norm")
        add_random(f"{block}.attn_q", queries, hidden)
        add_random(f"{block}.attn_k", keys, hidden)
        add_random(f"{block}.attn_v", keys, hidden)
        add_random(f"{block}.attn_output", hidden, queries)
        add_random(f"{block}.ffn_gate", feed_forward, hidden)
        add_random(f"{block}.ffn_up", feed_forward, hidden)
        add_random(f"{block}.ffn_down", hidden, feed_forward)
