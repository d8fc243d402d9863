"""What Redis or Valkey does in one step each, and the form in which it is asked.

Each counter is a hash: what every worker was granted, under its id (in a minute: under the slot and its id).  Workers
write their own fields only, as wholes.  Limits are compared as doubles: exact to 2^53, nine million dollars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from breakeven.limits.meter import SLOTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from breakeven.limits.lease import Lease

DEAD_S: Final = 10
"""A worker that was silent for so long has no request under way any more."""

_ROOT: Final = "{breakeven}"
"""In braces, so that a cluster keeps all of it in one place."""

ALIVE: Final = f"{_ROOT}:alive"

TAKE: Final = f"""
local now, worker = tonumber(ARGV[1]), ARGV[2]
local alive = KEYS[1]
redis.call('HSET', alive, worker, now)
local function counts(key, mode, mark, field)
  local keep = true
  if mode == 'minute' then
    keep = mark - tonumber(string.match(field, '^%d+')) < {SLOTS}
  elseif mode == 'none' then
    local seen = redis.call('HGET', alive, field)
    keep = seen and now - tonumber(seen) <= {DEAD_S}
  end
  if not keep then redis.call('HDEL', key, field) end
  return keep
end
local grants, totals = {{}}, {{}}
for i = 2, #KEYS do
  local at = 3 + (i - 2) * 8
  local mode, mark, mine = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local need, extra = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local limit, total = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local fields = redis.call('HGETALL', KEYS[i])
  for j = 1, #fields, 2 do
    if fields[j] ~= mine and counts(KEYS[i], mode, mark, fields[j]) then
      local held = tonumber(fields[j + 1])
      if mode == 'minute' or mode == 'none' then held = math.max(held, 0) end
      total = total + held
    end
  end
  local room = limit - total - need
  if room < 0 and need > 0 then return {{0, i - 2, string.format('%.0f', total)}} end
  grants[i - 1] = string.format('%.0f', need + math.max(0, math.min(extra, math.floor(room / 8))))
  totals[i - 1] = string.format('%.0f', total)
end
for i = 2, #KEYS do
  local at = 3 + (i - 2) * 8
  local own = tonumber(ARGV[at + 6]) + tonumber(grants[i - 1])
  redis.call('HSET', KEYS[i], ARGV[at + 2], string.format('%.0f', own))
  redis.call('EXPIRE', KEYS[i], ARGV[at + 7])
end
return {{1, grants, totals}}
"""
"""Grant to a worker what it needs of every counter, or nothing of any; and of what remains up to an eighth in advance.

A worker's part of a budget is below 0 where a pool's hour came to less than was charged, and another had charged it.

Returns 1, the grants and what all have, or 0, the place of the counter that refuses, and what all have of that one.
"""

PUT: Final = """
redis.call('HSET', KEYS[1], ARGV[2], ARGV[1])
for i = 2, #KEYS do
  local at = 3 + (i - 2) * 3
  redis.call('HSET', KEYS[i], ARGV[at], ARGV[at + 1])
  redis.call('EXPIRE', KEYS[i], ARGV[at + 2])
end
return 1
"""
"""Write down what a worker has been granted, whatever was written before; and that it lives."""

SEED: Final = f"""
local now, gateway = tonumber(ARGV[1]), ARGV[2]
local seen = redis.call('HGETALL', KEYS[1])
for j = 1, #seen, 2 do
  if now - tonumber(seen[j + 1]) > 60 * {DEAD_S} then redis.call('HDEL', KEYS[1], seen[j]) end
end
for i = 2, #KEYS do
  local at = 3 + (i - 2) * 2
  local known = 0
  local fields = redis.call('HGETALL', KEYS[i])
  for j = 1, #fields, 2 do
    if string.sub(fields[j], 1, #gateway) == gateway then known = known + math.max(tonumber(fields[j + 1]), 0) end
  end
  local missing = tonumber(ARGV[at]) - known
  if missing > 0 then
    local base = tonumber(redis.call('HGET', KEYS[i], gateway .. 'base') or '0')
    redis.call('HSET', KEYS[i], gateway .. 'base', string.format('%.0f', base + missing))
    redis.call('EXPIRE', KEYS[i], ARGV[at + 1])
  end
end
return 1
"""
"""Make good what a gateway's ledger has and the server has not: after a restart of either, or of both."""


def counter_of(lease: Lease, mark: int) -> str:
    """Return the name of the counter in which a lease counts."""
    scope, name, kind, window = lease.rule.counts
    return f"{_ROOT}:{scope}:{name}:{kind}:{window}" + ("" if window in ("minute", "none") else f":{mark}")


def field_of(lease: Lease, worker: str, mark: int) -> str:
    """Return the field of a counter that is one worker's own."""
    return f"{mark}|{worker}" if lease.rule.window == "minute" else worker


def take_arguments(
    wanted: Iterable[tuple[Lease, int, int]], worker: str, now_s: float
) -> tuple[list[str], list[str | int]]:
    """Return keys and arguments of ``TAKE``: of each lease, what is needed and what would be welcome beyond."""
    keys: list[str] = [ALIVE]
    arguments: list[str | int] = [int(now_s), worker]
    for lease, need, extra in wanted:
        mark = lease.mark
        keys.append(counter_of(lease, mark))
        arguments += (
            lease.rule.window, mark, field_of(lease, worker, mark), need, extra,
            lease.rule.amount, lease.granted.get(mark, 0), lease.expires_s(now_s),
        )  # fmt: skip
    return keys, arguments


def put_arguments(changed: Iterable[tuple[Lease, int]], worker: str, now_s: float) -> tuple[list[str], list[str | int]]:
    """Return keys and arguments of ``PUT``: leases and the marks under which they have changed."""
    keys: list[str] = [ALIVE]
    arguments: list[str | int] = [int(now_s), worker]
    for lease, mark in changed:
        keys.append(counter_of(lease, mark))
        arguments += (field_of(lease, worker, mark), lease.granted[mark], lease.expires_s(now_s))
    return keys, arguments


def seed_arguments(leases: Iterable[Lease], gateway: str, now_s: float) -> tuple[list[str], list[str | int]]:
    """Return keys and arguments of ``SEED``; ``gateway`` begins the ids of all its workers."""
    keys: list[str] = [ALIVE]
    arguments: list[str | int] = [int(now_s), gateway]
    for lease in leases:
        mark, amount = lease.base
        keys.append(counter_of(lease, mark))
        arguments += (amount, lease.expires_s(now_s))
    return keys, arguments
