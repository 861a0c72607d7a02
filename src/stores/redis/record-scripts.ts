/**
 * A record is up to six keys of one slot.
 *
 * `r`, the head, a small hash:
 * * `f`: epoch and owner, as in a fence; without an owner: the epoch and a space
 * * `w`: name of the last writer and the number of its write
 * * `x`: expiry, ms since 1970; negative once a script found the record expired
 * * `c`: counters of the log: events ever logged, bytes ever logged, both at the last trim, expiry of the log keys
 * * `v`: format of the record
 * * `h`: the head of the record
 * * `a`: its stamp
 * * `q`: due time, ms since 1970; `n`: how often `add` rang; both only if they were set
 * * `d`, `at`, `k`: of an ended record, which has no others: its outcome, time of the end, until when it shows as ended
 *
 * `b`: what never changes: user and time of creation as a line of JSON, then the body.
 *
 * `s`, a hash: the fields of the record.
 *
 * `o`, a hash of open streams and marks: `s` and the name of a stream → its length and its note; `m` and a mark as
 * JSON.
 *
 * `k`, a hash: the names of all streams with logged events.
 *
 * `l`, the log, a list: one element per append.
 *
 * Every write carries the name of its writer and a number. The script refuses a write when a later one of the same
 * writer is stored, so a late delivery from a broken connection undoes nothing. An expired record refuses every write
 * and ends without an outcome. The keys of a record with an expiry disappear by themselves long after that expiry, if
 * no instance ends the record.
 *
 * Answers: `W` written, `F` fenced, `L` too late.
 */
import { CLOCK, script } from './scripts.ts';

/** The length of a writer's name; the number of the write follows it. */
export const WRITER_LENGTH = 8;

/**
 * With `maxmemory-policy noeviction` a full Redis refuses the first write of a script if that write may need memory,
 * and none after the first. So a script that begins with this one, which changes nothing, is never refused.
 */
const PASSES = `redis.call('HDEL', KEYS[1], '')`;

/** Whether a later write of the same writer is stored already. */
const LATE = `
local function late(last, write)
  return last and string.sub(last, 1, ${WRITER_LENGTH}) == string.sub(write, 1, ${WRITER_LENGTH})
    and tonumber(string.sub(last, ${WRITER_LENGTH + 1})) >= tonumber(string.sub(write, ${WRITER_LENGTH + 1}))
end
`;

/**
 * Whether a record has expired. The script that finds it expired stores that. So the record stays expired even if the
 * clock of this server, or of a replica that replaces it, is set back.
 */
export const EXPIRED = `
local function expired(x)
  if not x or tonumber(x) > now then return false end
  if string.sub(x, 1, 1) ~= '-' then
    ${PASSES}
    redis.call('HSET', KEYS[1], 'x', '-' .. x)
  end
  return true
end
`;

/** `KEYS[1]`: head. `ARGV`: write, fence, ms that a record is kept after its expiry. */
export const FENCE = `
${LATE.trim()}
local head = redis.call('HMGET', KEYS[1], 'f', 'w', 'x', 'c')
if head[1] ~= ARGV[2] then return 'F' end
${CLOCK.trim()}
${EXPIRED.trim()}
if expired(head[3]) then return 'F' end
local expiry = head[3] and tonumber(head[3])
if late(head[2], ARGV[1]) then return 'L' end
local ends = expiry and whole(expiry + ARGV[3])
local function last(key) if ends then redis.call('PEXPIREAT', key, ends) end end
`;

/**
 * `KEYS`: head, body, state, open, and the log's keys if their lifetime is not limited. `ARGV` after the fence: the new
 * fence (empty: unchanged); the ms until the new expiry (empty: unchanged; or `never`); the same until the due time;
 * the `n` that the owner has seen; the number of head fields; pairs of fields of the head hash; pairs of fields of the
 * record, where an empty value deletes. Instead of `W` it answers a list if the record is to be checked earlier than
 * before, with that time, or if it rang, with `R`. A full server takes a save without fields: so a lease is renewed.
 */
export const SAVE = script(
  FENCE,
  `
local earlier, rung
local fields = 9 + 2 * ARGV[8]
if fields > #ARGV then ${PASSES} end
if ARGV[5] == 'never' then
  redis.call('HDEL', KEYS[1], 'x')
  for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
  ends = nil
elseif ARGV[5] ~= '' then
  local at = now + ARGV[5]
  redis.call('HSET', KEYS[1], 'x', whole(at))
  ends = whole(at + ARGV[3])
  for _, key in ipairs(KEYS) do last(key) end
  if not expiry or at < expiry then earlier = at end
end
if ARGV[6] ~= '' then
  local due = redis.call('HMGET', KEYS[1], 'q', 'n')
  rung = (due[2] or '0') ~= ARGV[7]
  if ARGV[6] == 'never' and not rung then redis.call('HDEL', KEYS[1], 'q')
  else
    local at = rung and now or now + ARGV[6]
    redis.call('HSET', KEYS[1], 'q', whole(at))
    if not due[1] or at < tonumber(due[1]) then earlier = math.min(earlier or at, at) end
  end
end
redis.call('HSET', KEYS[1], 'w', ARGV[1])
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'f', ARGV[4]) end
for n = 9, fields - 1, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
for n = fields, #ARGV, 2 do
  local field, value = ARGV[n], ARGV[n + 1]
  if value == '' then redis.call('HDEL', KEYS[3], field) else redis.call('HSET', KEYS[3], field, value) end
end
if fields < #ARGV then last(KEYS[3]) end
if earlier or rung then return {earlier and whole(earlier) or '', rung and 'R' or 'W'} end
return 'W'
`,
);

/**
 * `KEYS`: head, fields. `ARGV`: the latest time of this write, ms that a record is kept after its expiry, field, text.
 * The write has no number, so that a late write of another instance still counts as late. Answers `W`, `X`: the field
 * is there, `G`: no living record, `L`.
 */
export const ADD = script(
  CLOCK,
  EXPIRED,
  `
if now > tonumber(ARGV[1]) then return 'L' end
local head = redis.call('HMGET', KEYS[1], 'f', 'x', 'q', 'n')
if not head[1] or expired(head[2]) then return 'G' end
if redis.call('HSETNX', KEYS[2], ARGV[3], ARGV[4]) == 0 then return 'X' end
if head[2] then redis.call('PEXPIREAT', KEYS[2], whole(head[2] + ARGV[2])) end
redis.call('HSET', KEYS[1], 'n', whole((head[4] or 0) + 1), 'q', whole(math.min(head[3] or now, now)))
return 'W'
`,
);

/**
 * `KEYS`: all. `ARGV`: latest time of creation, ms that a record is kept after its expiry, ms that it then shows as
 * ended, ms until its expiry or empty, the same until its due time, body, number of head fields, pairs of fields of the
 * head hash, pairs of fields of the record. Answers `W`; `X`: exists; `L`. A full server refuses the `SET`.
 */
export const CREATE = script(
  CLOCK,
  EXPIRED,
  `
if now > tonumber(ARGV[1]) then return 'L' end
local there = redis.call('HMGET', KEYS[1], 'v', 'x', 'k')
if there[1] or there[3] then
  local kept = there[3] or expired(there[2]) and math.abs(there[2]) + ARGV[3]
  if not kept or tonumber(kept) > now then return 'X' end
end
redis.call('SET', KEYS[2], ARGV[6])
for n, key in ipairs(KEYS) do if n ~= 2 then redis.call('DEL', key) end end
local fields = 8 + 2 * ARGV[7]
for n = 8, fields - 1, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
for n = fields, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[n], ARGV[n + 1]) end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'q', whole(now + ARGV[5])) end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'x', whole(now + ARGV[4]))
  local ends = whole(now + ARGV[4] + ARGV[2])
  for n = 1, 3 do redis.call('PEXPIREAT', KEYS[n], ends) end
end
return 'W'
`,
);

/** The same for a kind that is vital. */
export const CREATE_VITAL = script(PASSES, CREATE.lua);

/** `KEYS`: head, body, state. Answers the time and the contents of the keys. */
export const READ = script(
  CLOCK,
  EXPIRED,
  `
expired(redis.call('HGET', KEYS[1], 'x'))
return {whole(now), redis.call('HGETALL', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('HGETALL', KEYS[3])}
`,
);

/**
 * `KEYS`: head, body, state, open. `ARGV`: write, fence before the claim, fence after it, newest format that this build
 * reads. Answers as `READ` does, then an outcome: `W` and the contents of `open`; `F`; `L`. A full server takes it.
 */
export const CLAIM = script(
  PASSES,
  CLOCK,
  LATE,
  EXPIRED,
  `
local head = redis.call('HMGET', KEYS[1], 'f', 'w', 'x', 'v')
local over = expired(head[3])
local held = {whole(now), redis.call('HGETALL', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('HGETALL', KEYS[3])}
local function answer(outcome) held[5] = outcome return held end
if over or not (head[1] and head[4] and held[3]) or tonumber(head[4]) > tonumber(ARGV[4]) then return answer('F') end
if head[1] ~= ARGV[3] then
  if head[1] ~= ARGV[2] then return answer('F') end
  if late(head[2], ARGV[1]) then return answer('L') end
  redis.call('HSET', KEYS[1], 'f', ARGV[3], 'w', ARGV[1])
end
held[6] = redis.call('HGETALL', KEYS[4])
return answer('W')
`,
);

/**
 * `KEYS`: all. `ARGV`: write, fence, outcome, ms that it is kept, the same for an expired record, stamp (empty: any).
 * Answers `E` and until when it is kept; `G`: ended before, or missing; `F`; `L`. A full server takes it.
 */
export const END = script(
  CLOCK,
  LATE,
  `
local head = redis.call('HMGET', KEYS[1], 'f', 'w', 'x', 'a')
if not head[1] then return {'G'} end
if head[1] ~= ARGV[2] or (ARGV[6] ~= '' and head[4] ~= ARGV[6]) then return {'F'} end
if late(head[2], ARGV[1]) then return {'L'} end
local outcome, at, keep = ARGV[3], now, ARGV[4]
if head[3] and tonumber(head[3]) <= now then outcome, at, keep = '', math.abs(head[3]), ARGV[5] end
local kept = whole(at + keep)
redis.call('DEL', unpack(KEYS))
redis.call('HSET', KEYS[1], 'd', outcome, 'at', whole(at), 'k', kept)
redis.call('PEXPIREAT', KEYS[1], kept)
return {'E', kept}
`,
);

/** `KEYS`: head. `ARGV`: when it ended. Answers `D`; `G`: no record ended then, or it shows no more. */
export const DROP = script(
  CLOCK,
  `
local head = redis.call('HMGET', KEYS[1], 'at', 'k')
if not head[1] or tonumber(head[1]) ~= tonumber(ARGV[1]) or tonumber(head[2]) <= now then return 'G' end
redis.call('DEL', KEYS[1])
return 'D'
`,
);

/**
 * `KEYS`: all. The directory's check of a record: answers fence, expiry and due time. If the head is missing because it
 * was deleted or evicted, the script deletes the other keys too.
 */
export const PEEK = script(
  CLOCK,
  EXPIRED,
  `
local head = redis.call('HMGET', KEYS[1], 'f', 'x', 'q', 'd')
if not head[1] and not head[4] then redis.call('DEL', unpack(KEYS)) end
expired(head[2])
return {head[1], head[2], head[3]}
`,
);
