/**
 * The directory of a deployment: two sorted sets of all its sessions, one by id (`sessions`), one by when to look at each
 * (`due`). They stand in a slot of their own, apart from the sessions; `directory.ts` says how they agree.
 */
import { CLOCK, script } from './scripts.ts';

/** `KEYS`: due, sessions (none for instances). `ARGV`: id, for how long. Answers half-way: until when it may be made. */
export const RESERVE = script(
  CLOCK,
  `
if KEYS[2] then redis.call('ZADD', KEYS[2], 0, ARGV[1]) end
redis.call('ZADD', KEYS[1], whole(now + ARGV[2]), ARGV[1])
return whole(now + ARGV[2] / 2)
`,
);

/** `KEYS`: due, sessions. `ARGV`: id, when to look at it at the latest (empty: now). Whoever looks at it now looks again. */
export const LOOK = script(
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

/** `KEYS`: due. `ARGV`: how many to pass over, how many. Answers the time, and ids and when they were due. */
export const DUE = script(
  CLOCK,
  `
return {whole(now), redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole(now), 'WITHSCORES', 'LIMIT', ARGV[1], ARGV[2])}
`,
);

/** `KEYS`: due, sessions (none for instances). `ARGV`: id, when it was due, when it is due next (empty: it goes), and so on. */
export const SETTLE = script(
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

/** `KEYS`: due, sessions. `ARGV`: id, until when it is remembered as ended: until then nobody makes it again. */
export const FORGET = script(
  CLOCK,
  `
if now < tonumber(ARGV[2]) then for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end
else redis.call('ZADD', KEYS[1], 'XX', 'LT', whole(now), ARGV[1]) end
return 1
`,
);
