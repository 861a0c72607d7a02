/**
 * A session is up to six keys of one slot:
 *
 * - `r`, its head: a small hash. `v` format, `e` epoch, `o` owner, `x` expiry, `p` protocol version, `i` initialized, `l` log
 *   level, `g` GET stream, `a` active at; `w` and `n`: who wrote last, and which of its writes that was; `c` and `b`: how many
 *   events and bytes were ever logged, `t` and `u` the same when the log was last shortened, `z` until when it is kept.
 *   Of an ended session: `v`, `d` reason and `at`.
 * - `b`, its body: what never changes, as JSON.
 * - `s`, its state: `.` and the key, and what of the body did change (`a` answer, `s` subscriptions).
 * - `o`: open streams (`s` and the name: length and what they answer) and markers (`m` and JSON).
 * - `k`: the names of all streams of which something is logged.
 * - `l`, its log: an element for each append.
 *
 * Every write names who writes and the how many-eth of its writes it is, and is refused when a later one of the same writer is
 * stored: what a broken connection delivers late undoes nothing. Beyond its expiry a session is refused every write, and ends
 * as idle. Where it has an expiry its keys go by themselves long after it, should nobody end it.
 *
 * Answers: `W` written, `F` fenced, `L` too late.
 */
import { CLOCK, script } from './scripts.ts';

/** `KEYS[1]` the head; `ARGV`: writer, number, epoch, owner, how long a session is kept beyond its expiry. */
const FENCE = `
local head = redis.call('HMGET', KEYS[1], 'e', 'o', 'x', 'w', 'n', 'c', 'b', 't', 'u', 'z')
if head[1] ~= ARGV[3] or head[2] ~= ARGV[4] then return 'F' end
${CLOCK.trim()}
if head[3] and tonumber(head[3]) <= now then return 'F' end
if head[4] == ARGV[1] and tonumber(head[5]) >= tonumber(ARGV[2]) then return 'L' end
local ends = head[3] and whole(tonumber(head[3]) + ARGV[5])
local function last(key) if ends then redis.call('PEXPIREAT', key, ends) end end
`;

/**
 * `KEYS`: head, body, state, open, and the log's where time does not limit it. After the fence: `1` releases; the new expiry
 * (empty: as it is, `never`); pairs of fields of the head; pairs of fields of the state, empty values delete. `E`: written, and
 * its expiry comes earlier than before.
 */
export const SAVE = script(
  FENCE,
  `
local written = 'W'
if ARGV[7] == 'never' then
  redis.call('HDEL', KEYS[1], 'x')
  for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
  ends = nil
elseif ARGV[7] ~= '' then
  redis.call('HSET', KEYS[1], 'x', ARGV[7])
  ends = whole(tonumber(ARGV[7]) + ARGV[5])
  for _, key in ipairs(KEYS) do last(key) end
  if not head[3] or tonumber(ARGV[7]) < tonumber(head[3]) then written = 'E' end
end
if ARGV[6] == '1' then redis.call('HDEL', KEYS[1], 'o') end
redis.call('HSET', KEYS[1], 'w', ARGV[1], 'n', ARGV[2])
local fields = 9 + 2 * ARGV[8]
for n = 9, fields - 1, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
for n = fields, #ARGV, 2 do
  if ARGV[n + 1] == '' then redis.call('HDEL', KEYS[3], ARGV[n]) else redis.call('HSET', KEYS[3], ARGV[n], ARGV[n + 1]) end
end
if fields < #ARGV then last(KEYS[3]) end
return written
`,
);

/** `KEYS`: head, open. After the fence: the field of the marker; `1` removes it. */
export const MARK = script(
  FENCE,
  `
redis.call('HSET', KEYS[1], 'w', ARGV[1], 'n', ARGV[2])
if ARGV[7] == '1' then redis.call('HDEL', KEYS[2], ARGV[6])
elseif redis.call('HSET', KEYS[2], ARGV[6], '') == 1 then last(KEYS[2]) end
return 'W'
`,
);

/**
 * `KEYS`: all. After the fence: stream, first offset, how many events, their text, its bytes (empty: as many as it has), `1`
 * completes, what it answers, markers to write and to remove (empty: none), and what is kept: events (empty: no log), bytes,
 * ms. The elements of the log begin with the events and bytes ever logged with them, when that was, the first offset, how
 * many events, and whether the stream was complete.
 */
export const APPEND = script(
  FENCE,
  `
local fresh = {'w', ARGV[1], 'n', ARGV[2]}
local function also(field, value) fresh[#fresh + 1] = field fresh[#fresh + 1] = value end
if ARGV[15] ~= '' then
  local stream, from, count = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
  local field = 's' .. stream
  local open = redis.call('HGET', KEYS[4], field)
  if open then
    if tonumber(string.match(open, '^%d+')) ~= from then return 'F' end
  elseif from ~= 0 or redis.call('HSETNX', KEYS[5], stream, '') == 0 then return 'F' end
  if ARGV[11] == '1' then
    if open then redis.call('HDEL', KEYS[4], field) end
  else
    local answers = open and string.match(open, '\\n.*$') or (ARGV[12] ~= '' and '\\n' .. ARGV[12]) or ''
    if redis.call('HSET', KEYS[4], field, (from + count) .. answers) == 1 then last(KEYS[4]) end
  end
  local keptEvents, keptBytes, keptMs = tonumber(ARGV[15]), tonumber(ARGV[16]), tonumber(ARGV[17])
  local events, bytes = (head[6] or 0) + count, (head[7] or 0) + 0
  if ARGV[10] ~= '' then bytes = bytes + ARGV[10] elseif count > 0 then bytes = bytes + #ARGV[9] - count + 1 end
  if count > 0 or from == 0 or ARGV[11] == '1' then
    local element = table.concat({whole(events), whole(bytes), whole(now), from, count, ARGV[11], #stream, stream .. ARGV[9]}, ' ')
    local size = redis.call('RPUSH', KEYS[6], element)
    also('c', whole(events)) also('b', whole(bytes))
    if keptMs == math.huge then
      if size == 1 then last(KEYS[5]) last(KEYS[6]) end
    elseif size == 1 or not head[10] or tonumber(head[10]) < now + keptMs then
      local keep = whole(now + keptMs * 17 / 16)
      redis.call('PEXPIREAT', KEYS[5], keep) redis.call('PEXPIREAT', KEYS[6], keep)
      also('z', keep)
    end
  end
  if events - (head[8] or 0) >= math.max(16, keptEvents / 8) or bytes - (head[9] or 0) > keptBytes / 8 then
    while true do
      local oldest = redis.call('LINDEX', KEYS[6], 0)
      if not oldest then break end
      local c, b, at, complete, size, name = string.match(oldest, '^(%d+) (%d+) (%d+) %d+ %d+ (%d?) (%d+) ()')
      if events - c < keptEvents and bytes - b <= keptBytes and at + keptMs > now then break end
      redis.call('LPOP', KEYS[6])
      if complete == '1' then redis.call('HDEL', KEYS[5], string.sub(oldest, name, name + size - 1)) end
    end
    also('t', whole(events)) also('u', whole(bytes))
  end
end
if ARGV[13] ~= '' and redis.call('HSET', KEYS[4], ARGV[13], '') == 1 then last(KEYS[4]) end
if ARGV[14] ~= '' then redis.call('HDEL', KEYS[4], ARGV[14]) end
redis.call('HSET', KEYS[1], unpack(fresh))
return 'W'
`,
);

/**
 * `KEYS`: head, open, log; `ARGV`: stream, the offset after which, events, bytes and ms that are kept. Answers nothing when the
 * session has ended; else the time, the length of the stream while it is open, and of each of its elements, newest first: the
 * first offset, how many events, when, the events and bytes logged after them, their text.
 */
export const REPLAY = script(
  CLOCK,
  `
local head = redis.call('HMGET', KEYS[1], 'e', 'x', 'c', 'b')
if not head[1] or (head[2] and tonumber(head[2]) <= now) then return false end
local stream, after = ARGV[1], tonumber(ARGV[2])
local keptEvents, keptBytes, keptMs = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local open = redis.call('HGET', KEYS[2], 's' .. stream)
local found = {whole(now), open and string.match(open, '^%d+')}
local events, bytes = head[3] or 0, head[4] or 0
local newest, done = -1, false
while not done do
  local elements = redis.call('LRANGE', KEYS[3], newest - 63, newest)
  newest = newest - 64
  done = #elements < 64
  for n = #elements, 1, -1 do
    local c, b, at, from, count, size, name = string.match(elements[n], '^(%d+) (%d+) (%d+) (%d+) (%d+) %d? (%d+) ()')
    if events - c >= keptEvents or bytes - b > keptBytes or at + keptMs <= now then done = true break end
    if string.sub(elements[n], name, name + size - 1) == stream then
      for _, value in ipairs({from, count, at, whole(events - c), whole(bytes - b), string.sub(elements[n], name + size)}) do
        found[#found + 1] = value
      end
      if count ~= '0' and from - after <= 1 then done = true break end
    end
  end
end
return found
`,
);

/** `KEYS`: head, open. Answers the fields of `open` while the session lives. */
export const OPEN_STREAMS = script(
  CLOCK,
  `
local head = redis.call('HMGET', KEYS[1], 'e', 'x')
if not head[1] or (head[2] and tonumber(head[2]) <= now) then return {} end
return redis.call('HGETALL', KEYS[2])
`,
);

/**
 * `KEYS`: all. `ARGV`: until when it may be made, how long it is kept beyond its expiry, how long an ended one is remembered,
 * its expiry or nothing, the body, pairs of fields of the head, pairs of fields of the state. `X`: there is one; `L`.
 */
export const CREATE = script(
  CLOCK,
  `
if now > tonumber(ARGV[1]) then return 'L' end
local there = redis.call('HMGET', KEYS[1], 'v', 'x', 'd')
if there[1] then
  if there[3] or not there[2] or tonumber(there[2]) > now then return 'X' end
  if there[2] + ARGV[3] > now then return 'X' end
end
redis.call('DEL', unpack(KEYS))
redis.call('SET', KEYS[2], ARGV[5])
local fields = 7 + 2 * ARGV[6]
for n = 7, fields - 1, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
for n = fields, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[n], ARGV[n + 1]) end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'x', ARGV[4])
  local ends = whole(tonumber(ARGV[4]) + ARGV[2])
  for n = 1, 3 do redis.call('PEXPIREAT', KEYS[n], ends) end
end
return 'W'
`,
);

/** `KEYS`: head, body, state. Answers the time and all that they hold. */
export const READ = script(
  CLOCK,
  `
return {whole(now), redis.call('HGETALL', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('HGETALL', KEYS[3])}
`,
);

/**
 * `KEYS`: head, body, state, open. `ARGV`: writer, number, the expected epoch, who claims, an owner that is known to be dead,
 * the newest format that is understood. Answers what `READ` does, then `W` and what `open` holds; `O`: it has another owner, who
 * may be dead; `F`; `L`.
 */
export const CLAIM = script(
  CLOCK,
  `
local head = redis.call('HMGET', KEYS[1], 'e', 'o', 'x', 'w', 'n', 'v')
local held = {whole(now), redis.call('HGETALL', KEYS[1]), redis.call('GET', KEYS[2]), redis.call('HGETALL', KEYS[3])}
local function answer(outcome) held[5] = outcome return held end
if not head[1] or tonumber(head[6]) > tonumber(ARGV[6]) then return answer('F') end
if head[3] and tonumber(head[3]) <= now then return answer('F') end
local epoch, expected, owner = tonumber(head[1]), tonumber(ARGV[3]), head[2]
local again = epoch == expected + 1 and owner == ARGV[4]
if not again then
  if epoch ~= expected then return answer('F') end
  if owner and owner ~= ARGV[4] and owner ~= ARGV[5] then return answer('O') end
  if head[4] == ARGV[1] and tonumber(head[5]) >= tonumber(ARGV[2]) then return answer('L') end
  redis.call('HSET', KEYS[1], 'e', whole(epoch + 1), 'o', ARGV[4], 'w', ARGV[1], 'n', ARGV[2])
end
held[6] = redis.call('HGETALL', KEYS[4])
return answer('W')
`,
);

/**
 * `KEYS`: all. `ARGV`: writer, number, epoch and owner of the fence (empty: none), an owner that is known to be dead, reason,
 * how long it is remembered, the format. Answers `E` and when it ended; `G`: it had ended, or never was; `O` and the owner: it
 * may be dead; `F`; `L`.
 */
export const END = script(
  CLOCK,
  `
local head = redis.call('HMGET', KEYS[1], 'e', 'o', 'x', 'w', 'n')
if not head[1] then return {'G'} end
if ARGV[3] ~= '' then
  if head[1] ~= ARGV[3] or head[2] ~= ARGV[4] then return {'F'} end
elseif head[2] and head[2] ~= ARGV[5] then return {'O', head[2]} end
if head[4] == ARGV[1] and tonumber(head[5]) >= tonumber(ARGV[2]) then return {'L'} end
local reason, at = ARGV[6], whole(now)
if head[3] and tonumber(head[3]) <= now then reason, at = 'idle', head[3] end
redis.call('DEL', unpack(KEYS))
redis.call('HSET', KEYS[1], 'v', ARGV[8], 'd', reason, 'at', at)
redis.call('PEXPIREAT', KEYS[1], whole(at + ARGV[7]))
return {'E', at}
`,
);
