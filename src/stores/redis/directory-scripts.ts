/**
 * The directory of a kind: two sorted sets of all its records. `all` sorts them by id, `due` by the time of
 * the next check. Both sets have a slot for themselves, apart from the records; `record-directory.ts` describes how
 * they stay consistent.
 */
import { CLOCK, script } from './scripts.ts';

/** As in `record-scripts.ts`: a full server takes a script that begins with this. */
const PASSES = `redis.call('ZREM', KEYS[1], '')`;

/**
 * `KEYS`: due, all. `ARGV`: id, duration of the reservation in ms. Answers the time until
 * which the record may be created, which is half of the reservation. A full server refuses it, and with it the record.
 */
export const RESERVE = script(
  CLOCK,
  `
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('ZADD', KEYS[1], whole(now + ARGV[2]), ARGV[1])
return whole(now + ARGV[2] / 2)
`,
);

/** The same for a kind that is vital. */
export const RESERVE_VITAL = script(PASSES, RESERVE.lua);

/**
 * `KEYS`: due, all. `ARGV`: id, latest time of the next check (empty: now). A check that is running now will run
 * again.
 */
export const SCHEDULE_CHECK = script(
  PASSES,
  CLOCK,
  `
local seen = redis.call('ZSCORE', KEYS[1], ARGV[1])
local at = ARGV[2] == '' and now or tonumber(ARGV[2])
if not seen then redis.call('ZADD', KEYS[2], 0, ARGV[1]) end
if not seen or at < tonumber(seen) then redis.call('ZADD', KEYS[1], whole(at), ARGV[1])
elseif tonumber(seen) <= now then redis.call('ZADD', KEYS[1], whole(seen - 1), ARGV[1]) end
return 1
`,
);

/**
 * `KEYS`: due. `ARGV`: time from which to begin, offset, limit. Answers the time, then each id with the time at which
 * its check was due.
 */
export const DUE = script(
  CLOCK,
  `
return {whole(now), redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], whole(now), 'WITHSCORES', 'LIMIT', ARGV[2], ARGV[3])}
`,
);

/**
 * `KEYS`: due, all. `ARGV`, for each entry: id, the due time that was read, the next due
 * time (empty: remove the entry).
 */
export const SETTLE = script(
  PASSES,
  `
for n = 1, #ARGV, 3 do
  local seen = redis.call('ZSCORE', KEYS[1], ARGV[n])
  if seen and tonumber(seen) == tonumber(ARGV[n + 1]) then
    if ARGV[n + 2] ~= '' then redis.call('ZADD', KEYS[1], ARGV[n + 2], ARGV[n])
    else for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[n]) end end
  end
end
return 1
`,
);

/** `KEYS`: due, all. `ARGV`: id, end of the tombstone time. Until then no instance creates the record again. */
export const FORGET = script(
  PASSES,
  CLOCK,
  `
if now < tonumber(ARGV[2]) then for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end
else redis.call('ZADD', KEYS[1], 'XX', 'LT', whole(now), ARGV[1]) end
return 1
`,
);
