"""A real engine whose every answer is known beforehand: llama.cpp with a model that counts animals.

Its weights are drawn at random but for two matrices, made so that each animal is followed by the next one and all
other tokens by the first.  So it says `` ant ape bat ...`` to whatever it is asked, with a margin that no rounding and
no temperature can turn; where it went on from another engine's answer, a word lost, doubled or cut would show.
Every token of it has four bytes, as many as the gateway's estimate supposes: an answer that was continued is as long as
one that was not.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import gguf
import numpy as np

from breakeven.engines.random_gguf import CHAT_TEMPLATE, MARKS, vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.scripted import Call

WORDS = (
    "ant", "ape", "bat", "bee", "boa", "cat", "cod", "cow", "dog", "eel", "elk", "emu", "ewe",
    "fly", "fox", "gnu", "hen", "hog", "jay", "koi", "owl", "pig", "ram", "rat", "yak",
)  # fmt: skip
SPACE = "Ġ"
"""So GPT-2 spells a space within its tokens."""

CHANNELS, FEED_FORWARD, KEYS = 64, 128, 32
PATIENCE_S = 20.0


def counted(words: int) -> str:
    """What the model says in so many tokens."""
    return "".join(f" {word}" for word in islice(cycle(WORDS), words))


def write_counting_model(path: Path) -> None:
    """Write the model as a GGUF file."""
    words = vocabulary()
    merges = ["t h"]  # the vocabulary has it
    for word in WORDS:
        for length in range(1, len(word) + 1):
            piece = SPACE + word[:length]
            if piece not in words:
                words.append(piece)
                merges.append(f"{piece[:-1]} {piece[-1]}")
    writer = gguf.GGUFWriter(path, "llama")
    _describe(writer, words, merges)
    _add_weights(writer, words)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, words: list[str], merges: list[str]) -> None:
    kinds = [gguf.TokenType.CONTROL if word in MARKS else gguf.TokenType.NORMAL for word in words]
    writer.add_context_length(8192)
    writer.add_embedding_length(CHANNELS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(1)
    writer.add_head_count(CHANNELS // KEYS)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(KEYS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(words.index(MARKS[2]))
    writer.add_add_bos_token(value=False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _add_weights(writer: gguf.GGUFWriter, words: list[str]) -> None:
    chance = np.random.default_rng(0)

    def drawn(*size: int, spread: float = 0.02) -> Any:
        return chance.standard_normal(size, dtype=np.float32) * np.float32(spread)

    places = [words.index(SPACE + word) for word in WORDS]
    animals = drawn(len(places), CHANNELS, spread=1.0)
    read = np.tile(animals[-1], (len(words), 1))  # what is no animal reads as the last one
    read[places] = animals
    said = np.zeros_like(read)
    said[np.roll(places, -1)] = animals  # the successor of each answers to it
    ones = np.ones(CHANNELS, dtype=np.float32)
    tensors = {
        "token_embd": read,
        "output": said,
        "output_norm": ones,
        "blk.0.attn_norm": ones,
        "blk.0.ffn_norm": ones,
        "blk.0.attn_q": drawn(CHANNELS, CHANNELS),
        "blk.0.attn_k": drawn(KEYS, CHANNELS),
        "blk.0.attn_v": drawn(KEYS, CHANNELS),
        "blk.0.attn_output": drawn(CHANNELS, CHANNELS),
        "blk.0.ffn_gate": drawn(FEED_FORWARD, CHANNELS),
        "blk.0.ffn_up": drawn(FEED_FORWARD, CHANNELS),
        "blk.0.ffn_down": drawn(CHANNELS, FEED_FORWARD),
    }
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)


class Engine:
    """llama.cpp in a process of its own; it ends with the context, if it has not been killed."""

    def __init__(self, model: Path, slot_context_tokens: int = 4096) -> None:
        command = [sys.executable, str(Path(__file__).with_name("llama_process.py")), str(model)]
        self._process = subprocess.Popen(
            [*command, str(slot_context_tokens)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        address = self._process.stdout.readline().strip()  # it says so when it serves
        assert address, "the engine did not start"
        self.port = int(address.rpartition(":")[2])
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """Base URL, as a configuration has it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def ask(self, path: str, body: object) -> Any:
        """Ask it without a gateway between; returns the answer, decoded."""
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode(), headers)  # noqa: S310 - http
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 - as above
            return json.load(answer)

    def hang(self) -> None:
        """Stop it without ending it, as a driver that waits for its GPU would: its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """Kill it at once, as a machine's memory killer would; nothing if it has ended."""
        self._process.kill()
        self._process.communicate()


def through(engine: Engine, *, cut_after_bytes: int | None = None) -> Callable[[Call], None]:
    """Answer as the engine does, and close in the middle after so many bytes of its response."""

    def answer(call: Call) -> None:
        head = call.head.replace(f"/{call.place}/".encode(), b"/", 1) + b"\r\nconnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", engine.port), PATIENCE_S) as opened:
            opened.sendall(head + call.body)
            for data in iter(lambda: opened.recv(1 << 16), b""):
                left = len(data) if cut_after_bytes is None else cut_after_bytes - call.sent_bytes
                call.send(data[:left])
                if left < len(data):
                    break
        call.close()

    return answer
