"""A batch on a pool of real engines, beside people who ask the same pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openai import OpenAI

from batches.served import CHAT, ended, jsonl, ready, results, submit, two_keys
from breakeven.engines.embedded import EngineSettings, running_engine
from breakeven.engines.random_gguf import write_random_llama
from gateway.gateway import KEY, Gateway, free_port, target

if TYPE_CHECKING:
    from pathlib import Path


def asked(name: str) -> dict[str, object]:
    body = {"model": "m", "messages": [{"role": "user", "content": name}], "max_tokens": 5, "ignore_eos": True}
    return {"custom_id": name, "method": "POST", "url": CHAT, "body": body}


def test_a_batch_is_drained_into_a_pool_of_real_engines_while_people_ask_it(tmp_path: Path) -> None:
    model = tmp_path / "tiny.gguf"
    write_random_llama(model)
    settings = EngineSettings(name="m")
    with running_engine(model, settings) as one, running_engine(model, settings) as other:
        pool = {"engine": "llama.cpp", "nodes": [{"url": one}, {"url": other}], "slots": settings.slot_count}
        nobody = {"nobody": target(f"http://127.0.0.1:{free_port()}/v1")}
        models = {"m": {"targets": ["local"], "policy": "least_busy"}}
        configured = two_keys(nobody, models, pools={"local": pool}, batches={"slots": 4})
        gateway = Gateway(tmp_path, configured)
        try:
            gateway.start()
            ready(gateway)
            with OpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=3) as client:
                batch = submit(client, jsonl(asked(f"line-{number}") for number in range(60)))
                answers = [
                    client.chat.completions.create(
                        model="m", messages=[{"role": "user", "content": f"person {number}"}], max_tokens=3
                    )
                    for number in range(10)
                ]
                batch = ended(client, batch, gateway)
                found = results(client, batch.output_file_id)
            assert all(answer.usage is not None for answer in answers)
            assert {item["custom_id"] for item in found} == {f"line-{number}" for number in range(60)}
            assert {item["response"]["body"]["usage"]["completion_tokens"] for item in found} == {5}
            row = gateway.rows(found[0]["response"]["request_id"])[0]
            assert (row["episode"], row["output_tokens"]) == (batch.id, 5)
            assert row["target"] in {"local/n1", "local/n2"}
        finally:
            gateway.kill()
