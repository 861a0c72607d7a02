/** The scripts about the log of a record (`record-scripts.ts` describes its keys). */
import { EXPIRED, FENCE } from './record-scripts.ts';
import { CLOCK, script } from './scripts.ts';

/** `KEYS`: head, open. `ARGV` after the fence: field of a mark to write, of a mark to remove (empty: none). */
export const MARK = script(
  FENCE,
  `
redis.call('HSET', KEYS[1], 'w', ARGV[1])
if ARGV[4] ~= '' and redis.call('HSET', KEYS[2], ARGV[4], '') == 1 then last(KEYS[2]) end
if ARGV[5] ~= '' then redis.call('HDEL', KEYS[2], ARGV[5]) end
return 'W'
`,
);

/**
 * `KEYS`: head, open, known, log. `ARGV` after the fence: retention as events, bytes, ms. Then for each append: stream;
 * position (first offset, number of events, `1` if it completes the stream, `1` if more follows); the text of its
 * events. "More" is: note, mark to write, mark to remove, size of the events if their text does not show it (empty:
 * none).
 *
 * Answers one outcome for all appends, or a list of `W` and `F`.
 *
 * An element of the log starts with: events ever logged, bytes ever logged, time, first offset, number of events, `1`
 * if the stream was complete, length of the stream's name.
 */
export const APPEND = script(
  FENCE,
  `
local events, bytes, cutEvents, cutBytes, keep = 0, 0, 0, 0, 0
if head[4] then
  local a, b, c, d, e = string.match(head[4], '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  events, bytes, cutEvents, cutBytes, keep = tonumber(a), tonumber(b), tonumber(c), tonumber(d), tonumber(e)
end
local elements, outcomes, refused = {}, {}, false

-- A stream that is known, not open and not complete was open when the key of open streams was deleted or evicted.
local function lost(stream)
  for _, element in ipairs(redis.call('LRANGE', KEYS[4], 0, -1)) do
    local ended, size, name = string.match(element, '^%d+ %d+ %d+ %d+ %d+ (1?) (%d+) ()')
    if ended == '1' and string.sub(element, name, name + size - 1) == stream then return false end
  end
  return true
end

local function log(stream, from, count, complete, place, text, note, size)
  local field = 's' .. stream
  local new = from == 0 and redis.call('HSETNX', KEYS[3], stream, '') == 1
  local open = false
  if not new or keep <= now then
    open = redis.call('HGET', KEYS[2], field)
    if open and tonumber(string.match(open, '^%d+')) ~= from then return false end
    if not open and not new and (from ~= 0 or not lost(stream)) then return false end
  end
  if not complete then
    local noted = open and string.match(open, '\\n.*$')
    if not noted then noted = note ~= '' and '\\n' .. note or '' end
    if redis.call('HSET', KEYS[2], field, whole(from + count) .. noted) == 1 then last(KEYS[2]) end
  elseif open then redis.call('HDEL', KEYS[2], field) end
  events = events + count
  if size ~= '' then bytes = bytes + size elseif count > 0 then bytes = bytes + #text - count + 1 end
  if count > 0 or from == 0 or complete then
    elements[#elements + 1] = whole(events) .. ' ' .. whole(bytes) .. ' ' .. whole(now) .. ' ' .. place .. ' '
      .. (complete and '1' or '') .. ' ' .. #stream .. ' ' .. stream .. text
  end
  return true
end

local n = 7
while n <= #ARGV do
  local stream, text = ARGV[n], ARGV[n + 2]
  local place, complete, more = string.match(ARGV[n + 1], '^(%-?%d+ %d+) (%d)(%d)$')
  local from, count = string.match(place, '^(%-?%d+) (%d+)$')
  local note, mark, unmark, size = '', '', '', ''
  n = n + 3
  if more == '1' then
    note, mark, unmark, size = ARGV[n], ARGV[n + 1], ARGV[n + 2], ARGV[n + 3]
    n = n + 4
  end
  if not log(stream, tonumber(from), tonumber(count), complete == '1', place, text, note, size) then
    outcomes[#outcomes + 1] = 'F'
    refused = true
  else
    outcomes[#outcomes + 1] = 'W'
    if mark ~= '' and redis.call('HSET', KEYS[2], mark, '') == 1 then last(KEYS[2]) end
    if unmark ~= '' then redis.call('HDEL', KEYS[2], unmark) end
  end
end

if #elements == 0 then
  redis.call('HSET', KEYS[1], 'w', ARGV[1])
  return refused and outcomes or 'W'
end
local keptEvents, keptBytes, keptMs = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local made = redis.call('RPUSH', KEYS[4], unpack(elements)) == #elements
if keptMs == math.huge then
  if made then last(KEYS[3]) last(KEYS[4]) end
elseif made or keep < now + keptMs then
  keep = math.floor(now + keptMs * 17 / 16)
  redis.call('PEXPIREAT', KEYS[3], whole(keep)) redis.call('PEXPIREAT', KEYS[4], whole(keep))
end
if events - cutEvents >= math.min(math.max(16, keptEvents / 8), 4096) or bytes - cutBytes > keptBytes / 8 then
  cutEvents, cutBytes = events, bytes
  local cutting = true
  while cutting do
    local oldest = redis.call('LRANGE', KEYS[4], 0, 31)
    local gone, names = 0, {}
    cutting = #oldest == 32
    for _, element in ipairs(oldest) do
      local c, b, at, done, size, name = string.match(element, '^(%d+) (%d+) (%d+) %d+ %d+ (1?) (%d+) ()')
      if events - c < keptEvents and bytes - b <= keptBytes and at + keptMs > now then cutting = false break end
      gone = gone + 1
      if done == '1' then names[#names + 1] = string.sub(element, name, name + size - 1) end
    end
    if gone > 0 then redis.call('LTRIM', KEYS[4], gone, -1) end
    if #names > 0 then redis.call('HDEL', KEYS[3], unpack(names)) end
  end
end
redis.call('HSET', KEYS[1], 'w', ARGV[1], 'c', whole(events) .. ' ' .. whole(bytes) .. ' ' .. whole(cutEvents) .. ' '
  .. whole(cutBytes) .. ' ' .. whole(keep))
return refused and outcomes or 'W'
`,
);

/**
 * `KEYS`: head, open, log. `ARGV`: retention as events, bytes, ms; stream; the offset after which to read. Answers
 * nothing if the record has ended, or if the stream is neither open nor complete because the key of open streams was
 * deleted or evicted. Otherwise: the time, the length of the stream if it is open, and for each element
 * of the stream, newest first: first offset, number of events, time, events and bytes logged after it, text.
 */
export const REPLAY = script(
  CLOCK,
  EXPIRED,
  `
local head = redis.call('HMGET', KEYS[1], 'f', 'x', 'c')
if not head[1] or expired(head[2]) then return false end
local keptEvents, keptBytes, keptMs = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local stream, after = ARGV[4], tonumber(ARGV[5])
local open = redis.call('HGET', KEYS[2], 's' .. stream)
local found = {whole(now), open and string.match(open, '^%d+')}
local events, bytes = string.match(head[3] or '0 0', '^(%d+) (%d+)')
local newest, done = -1, false
while not done do
  local elements = redis.call('LRANGE', KEYS[3], newest - 31, newest)
  newest = newest - 32
  done = #elements < 32
  for n = #elements, 1, -1 do
    local c, b, at, from, count, ended, size, name =
      string.match(elements[n], '^(%d+) (%d+) (%d+) (%d+) (%d+) (1?) (%d+) ()')
    if events - c >= keptEvents or bytes - b > keptBytes or at + keptMs <= now then done = true break end
    if string.sub(elements[n], name, name + size - 1) == stream then
      if not open and #found == 2 and ended == '' then return false end
      local text = string.sub(elements[n], name + size)
      for _, value in ipairs({from, count, at, whole(events - c), whole(bytes - b), text}) do
        found[#found + 1] = value
      end
      if count ~= '0' and from - after <= 1 then done = true break end
    end
  end
end
return found
`,
);
