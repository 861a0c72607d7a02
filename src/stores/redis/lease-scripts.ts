/**
 * A lease is a hash that expires:
 * * `v`: format
 * * `state`: `serving` or `draining`
 * * `version`: version of the build
 * * `n`: number of renewals
 *
 * A second key records that the id was used. It lasts a day longer than the last sign of life, so that a dead id stays
 * dead.
 *
 * `KEYS` of all scripts: lease, taken.
 */
import { CLOCK, script } from './scripts.ts';

/**
 * `ARGV`: latest time, lease ms, ms that a used id is remembered, format, state, version. Answers `W`; `T`: the id was
 * used before; `L`: too late.
 */
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

/**
 * `ARGV`: number of this renewal, lease ms, ms that a used id is remembered, state. Answers `W`; `D`: dead; `L`: too
 * late.
 */
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

/** `ARGV`: state and number that were read (empty: any number), ms that a used id is remembered. */
export const BURY = script(
  `
local seen = redis.call('HMGET', KEYS[1], 'state', 'n')
if not seen[1] or seen[1] ~= ARGV[1] or (ARGV[2] ~= '' and seen[2] ~= ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
return 1
`,
);

/** `ARGV`: ms that a used id is remembered. */
export const LEAVE = script(
  `
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[1])
return 1
`,
);
