from typing import Any

Row = dict[str, Any]
from breakeven.ledger import frames, ids
from breakeven.ledger.rows import *


def all_rows(store):
    folder = store.parent / "spool"
    if not folder.exists():
        folder = store.parent.parent / "ledger" / "spool"
    out = []
    for p in sorted(folder.glob("*.spool")):
        data = memoryview(p.read_bytes())
        at = len(frames.SEGMENT_MAGIC)
        d = {}
        while f := frames.read_frame(data, at):
            pl = frames.Payload(f.payload)
            at = f.ends
            for k, c, t in pl.definitions():
                d[k, c] = t
            eps = pl.episodes()
            for n, r in enumerate(pl.rows()):
                aid, rec, q, fb, e, lab, i, ci, cw, o = r
                L = frames.LABELS.unpack(lab)
                kinds = [KEY, TASK, TAGS, MODEL, TARGET, PRICED_AS, REASON, REASON, REASON]
                names = ["key", "task", "tags", "model", "target", "priced_as", "decision", "fallback", "failure"]
                row = {nm: (d.get((k, c)) if c else None) for nm, k, c in zip(names, kinds, L)}
                status, outcome, proc, flags = L[9:13]
                u = lambda x: None if x == UNKNOWN_US else x
                row |= dict(
                    attempt_id=aid,
                    request_id=ids.request_text(aid),
                    number=aid & 15,
                    received_us=rec,
                    queued_us=u(q),
                    first_byte_us=u(fb),
                    ended_us=u(e),
                    status=status or None,
                    outcome=OUTCOMES[outcome],
                    processing=PROCESSINGS[proc],
                    estimated=bool(flags & 1),
                    streamed=bool(flags & 2),
                    input_tokens=i,
                    cached_input_tokens=ci,
                    cache_write_tokens=cw,
                    output_tokens=o,
                    episode=eps.get(n),
                    cost_usd=None,
                )
                out.append(row)
    return sorted(out, key=lambda r: r["attempt_id"])


def rows_of(store, rid):
    return [r for r in all_rows(store) if r["request_id"] == rid]
