/**
 * A lease is a hash that expires: `v` format, `state`, `version` of the build, `n` how often it was renewed. Beside it stands that
 * its id was taken, for a day beyond its last sign of life, so that a dead id stays dead.
 *
 * `KEYS` of all: lease, taken.
 */
import { CLOCK, script } from './scripts.ts';

/** `ARGV`: until when, lease ms, how long a taken id is remembered, format, state, version. `T`: taken before; `L`: too late. */
export const ANNOUNCE = script(
  CLOCK,
  `
if now > tonumber(ARGV[1]) then return 'L' end
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then return 'T' end
redis.call('HSET', KEYS[1], 'v', ARGV[4], 'state', ARGV[5], 'version', ARGV[6], 'n', 0)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
return 'W'
`,
);

/** `ARGV`: the number of this renewal, lease ms, how long a taken id is remembered, state. `D`: dead; `L`: too late. */
export const RENEW = script(
  `
local n = redis.call('HGET', KEYS[1], 'n')
if not n then return 'D' end
if tonumber(n) >= tonumber(ARGV[1]) then return 'L' end
redis.call('HSET', KEYS[1], 'n', ARGV[1], 'state', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
return 'W'
`,
);

/** `ARGV`: state and number as they were seen (empty: any number), how long a taken id is remembered. */
export const BURY = script(
  `
local seen = redis.call('HMGET', KEYS[1], 'state', 'n')
if not seen[1] or seen[1] ~= ARGV[1] or (ARGV[2] ~= '' and seen[2] ~= ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
return 1
`,
);

/** `ARGV`: how long a taken id is remembered. */
export const LEAVE = script(
  `
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])
return 1
`,
);
