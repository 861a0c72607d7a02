/**
 * The scripts about rows and their logs, as `kernel/backend.ts` describes these. Each is one atomic step, and declares
 * all its keys. A changed script has another hash, so builds of different versions can run side by side.
 *
 * The keys of a row, and the orders that it is in, are in one slot of a Cluster:
 * * `r`, the row, a hash. `v`: version. `f`: fence; empty if the record has ended. `w`: wake time, empty if there is
 *   none. `b` and `d`: body and data (`kernel/row-texts.ts`). `s`: how long the fields of the record are together. `c`:
 *   what the row counts in its share.
 * * `l`, the log, a list of entries: number, what the entry counts, stream and head as JSON with commas between them, a
 *   line feed, the events.
 * * `ids`, a sorted set: the ids of listed rows with a fence, by their bytes.
 * * `wakes`, a sorted set: the ids of rows with a wake time, by that time.
 * * `s` and a share, a sorted set: the ids of rows with a fence that count in it, by the stamps of their records.
 * * `k` and a share, a sorted set: the ids of all rows that count in it, by what they and their logs count, and an empty
 *   id with what all of them count: the number of the share. One key, so an evicting server loses all of it or nothing.
 * * `most`, a sorted set: the shares, by their numbers.
 *
 * With `maxmemory-policy noeviction` a full Redis refuses the first write of a script if that write may need memory,
 * and none after the first. So a script that begins with `PASSES`, which changes nothing, is never refused.
 */
import { createHash } from 'node:crypto';

const script = (lua: string) => ({ lua, sha: createHash('sha1').update(lua).digest('hex') });

export type Script = Readonly<ReturnType<typeof script>>;

const PASSES = `redis.call('HDEL', KEYS[1], '')`;

/** The number of a share follows a row that counts `now` instead of `before`. */
const COUNT = `
local function count(kept, most, share, id, before, now)
  if now == before then return end
  if now > 0 then redis.call('ZADD', kept, now, id) else redis.call('ZREM', kept, id) end
  local all = tonumber(redis.call('ZINCRBY', kept, now - before, ''))
  if all > 0 then redis.call('ZADD', most, all, share)
  else
    redis.call('ZREM', kept, '')
    redis.call('ZREM', most, share)
  end
end
`;

/**
 * `KEYS`: row, log, wakes, ids; if a share counts: its sets `s` and `k`, and `most`. `ARGV`: id, version before (0: none),
 * `1` if the log goes, `1` if the row is listed, the share, what the row counts.
 * A row without further arguments is deleted. The others are: version, fence, wake time, data, length of the fields,
 * `1` if a full server must take it, stamp, body where the log goes. A full server also takes a row whose fields do not grow.
 */
export const PUT = script(`${COUNT}
local was = redis.call('HMGET', KEYS[1], 'v', 's', 'c')
if (was[1] or '0') ~= ARGV[2] then return 0 end
local id, fence, wake = ARGV[1], ARGV[8] or '', ARGV[9] or ''
if ARGV[7] then
  if ARGV[12] == '1' or (was[2] and tonumber(ARGV[11]) <= tonumber(was[2])) then ${PASSES} end
  redis.call('HSET', KEYS[1], 'v', ARGV[7], 'f', fence, 'w', wake, 'd', ARGV[10], 's', ARGV[11], 'c', ARGV[6])
  if ARGV[14] then redis.call('HSET', KEYS[1], 'b', ARGV[14]) end
else redis.call('DEL', KEYS[1]) end
if ARGV[3] == '1' then redis.call('DEL', KEYS[2]) end
if wake ~= '' then redis.call('ZADD', KEYS[3], wake, id) else redis.call('ZREM', KEYS[3], id) end
if ARGV[4] == '1' then
  if fence ~= '' then redis.call('ZADD', KEYS[4], 0, id) else redis.call('ZREM', KEYS[4], id) end
end
if KEYS[5] then
  local before, now = tonumber(redis.call('ZSCORE', KEYS[6], id) or 0), tonumber(ARGV[6])
  if fence ~= '' and now > 0 then redis.call('ZADD', KEYS[5], ARGV[13], id) else redis.call('ZREM', KEYS[5], id) end
  if ARGV[3] ~= '1' and now > 0 and before > 0 then now = now + before - tonumber(was[3] or 0) end
  count(KEYS[6], KEYS[7], ARGV[5], id, before, now)
end
return 1
`);

/**
 * `KEYS`: row, log; if a share counts: its set `k`, and `most`. `ARGV`: fence, the number up to which entries are removed
 * (0: none), id, share, what the entries count together, entries with rising numbers. A full server takes what removes
 * entries.
 */
export const APPEND = script(`${COUNT}
if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then return 0 end
local function number(entry) return tonumber(string.match(entry, '^%d+')) end
local cut, more = tonumber(ARGV[2]), tonumber(ARGV[5])
if ARGV[6] then
  local newest = redis.call('LINDEX', KEYS[2], -1)
  if newest and number(newest) >= number(ARGV[6]) then return 0 end
  if cut > 0 then ${PASSES} end
  redis.call('RPUSH', KEYS[2], unpack(ARGV, 6))
end
while cut > 0 do
  local oldest, gone = redis.call('LRANGE', KEYS[2], 0, 31), 0
  for _, entry in ipairs(oldest) do
    if number(entry) <= cut then
      gone = gone + 1
      more = more - tonumber(string.match(entry, '^%d+,(%d+)'))
    end
  end
  if gone > 0 then redis.call('LTRIM', KEYS[2], gone, -1) end
  if gone < 32 then break end
end
if KEYS[3] then
  local before = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[3]) or 0)
  count(KEYS[3], KEYS[4], ARGV[4], ARGV[3], before, math.max(0, before + more))
end
return 1
`);

/** `KEYS`: log. `ARGV`: a stream as JSON with a comma after it. Answers all entries; those of others without events. */
export const LOG = script(`
local entries = redis.call('LRANGE', KEYS[1], 0, -1)
for n, entry in ipairs(entries) do
  local stream = select(2, string.find(entry, '^%d+,%d+,')) + 1
  if string.sub(entry, stream, stream + #ARGV[1] - 1) ~= ARGV[1] then
    entries[n] = string.sub(entry, 1, string.find(entry, '\\n', stream, true))
  end
end
return entries
`);

/** `KEYS`: sets `k`. Answers the number of each. */
export const KEPT = script(`
local numbers = {}
for n, key in ipairs(KEYS) do numbers[n] = redis.call('ZSCORE', key, '') or '0' end
return numbers
`);

/** `KEYS`: row, log, `k`, `most`. `ARGV`: id, share. Reads the whole log. */
export const RECOUNT = script(`${COUNT}
local before, now = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[1]) or 0), tonumber(redis.call('HGET', KEYS[1], 'c') or 0)
if now > 0 then
  for _, entry in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
    now = now + tonumber(string.match(entry, '^%d+,(%d+)'))
  end
end
count(KEYS[3], KEYS[4], ARGV[2], ARGV[1], before, now)
`);

/** `KEYS`: `most`. `ARGV`: how many shares. Answers what all shares count, then the largest with their numbers. */
export const MOST = script(`
local all, shares = 0, redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for n = 2, #shares, 2 do all = all + tonumber(shares[n]) end
local answer = { string.format('%.0f', all) }
for n = math.max(1, #shares - 2 * ARGV[1] + 1), #shares do answer[#answer + 1] = shares[n] end
return answer
`);
