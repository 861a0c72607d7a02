/**
 * The scripts about rows and their logs, as `kernel/backend.ts` describes these. Each is one atomic step, and declares
 * all its keys. A changed script has another hash, so builds of different versions can run side by side.
 *
 * The keys of a row, and the orders that it is in, are in one slot of a Cluster:
 * * `r`, the row, a hash. `v`: version. `f`: fence; empty if the record has ended. `w`: wake time, empty if there is
 *   none. `b` and `d`: body and data (`kernel/row-texts.ts`). `s`: how long the fields of the record are together.
 * * `l`, the log, a list of entries: number, stream and head as JSON with commas between them, a line feed, the events.
 * * `ids`, a sorted set: the ids of listed rows with a fence, by their bytes.
 * * `wakes`, a sorted set: the ids of rows with a wake time, by that time.
 * * `s` and a share, a sorted set: the ids of rows with a fence that count in it, by the stamps of their records.
 *
 * With `maxmemory-policy noeviction` a full Redis refuses the first write of a script if that write may need memory,
 * and none after the first. So a script that begins with `PASSES`, which changes nothing, is never refused.
 */
import { createHash } from 'node:crypto';

const script = (lua: string) => ({ lua, sha: createHash('sha1').update(lua).digest('hex') });

export type Script = Readonly<ReturnType<typeof script>>;

const PASSES = `redis.call('HDEL', KEYS[1], '')`;

/**
 * `KEYS`: row, log, wakes, ids if the row is listed, its share if it counts in one. `ARGV`: id, version before (0: none), `1` if the log goes.
 * A row without further arguments is deleted. The others are: version, fence, wake time, data, length of the fields,
 * `1` if a full server must take it, stamp, body where the log goes. A full server also takes a row whose fields do not grow.
 */
export const PUT = script(`
local was = redis.call('HMGET', KEYS[1], 'v', 's')
if (was[1] or '0') ~= ARGV[2] then return 0 end
local id, fence, wake = ARGV[1], ARGV[5] or '', ARGV[6] or ''
if ARGV[4] then
  if ARGV[9] == '1' or (was[2] and tonumber(ARGV[8]) <= tonumber(was[2])) then ${PASSES} end
  redis.call('HSET', KEYS[1], 'v', ARGV[4], 'f', fence, 'w', wake, 'd', ARGV[7], 's', ARGV[8])
  if ARGV[11] then redis.call('HSET', KEYS[1], 'b', ARGV[11]) end
else redis.call('DEL', KEYS[1]) end
if ARGV[3] == '1' then redis.call('DEL', KEYS[2]) end
if wake ~= '' then redis.call('ZADD', KEYS[3], wake, id) else redis.call('ZREM', KEYS[3], id) end
if KEYS[4] then
  if fence ~= '' then redis.call('ZADD', KEYS[4], 0, id) else redis.call('ZREM', KEYS[4], id) end
end
if KEYS[5] then
  if fence ~= '' then redis.call('ZADD', KEYS[5], ARGV[10], id) else redis.call('ZREM', KEYS[5], id) end
end
return 1
`);

/**
 * `KEYS`: row, log. `ARGV`: fence, the number up to which entries are removed (0: none), entries with rising numbers.
 * A full server takes what removes entries.
 */
export const APPEND = script(`
if redis.call('HGET', KEYS[1], 'f') ~= ARGV[1] then return 0 end
local function number(entry) return tonumber(string.match(entry, '^%d+')) end
local cut = tonumber(ARGV[2])
if ARGV[3] then
  local newest = redis.call('LINDEX', KEYS[2], -1)
  if newest and number(newest) >= number(ARGV[3]) then return 0 end
  if cut > 0 then ${PASSES} end
  redis.call('RPUSH', KEYS[2], unpack(ARGV, 3))
end
while cut > 0 do
  local oldest, gone = redis.call('LRANGE', KEYS[2], 0, 31), 0
  for _, entry in ipairs(oldest) do if number(entry) <= cut then gone = gone + 1 end end
  if gone > 0 then redis.call('LTRIM', KEYS[2], gone, -1) end
  if gone < 32 then break end
end
return 1
`);

/** `KEYS`: log. `ARGV`: a stream as JSON with a comma after it. Answers all entries; those of others without events. */
export const LOG = script(`
local entries = redis.call('LRANGE', KEYS[1], 0, -1)
for n, entry in ipairs(entries) do
  local stream = string.find(entry, ',', 1, true) + 1
  if string.sub(entry, stream, stream + #ARGV[1] - 1) ~= ARGV[1] then
    entries[n] = string.sub(entry, 1, string.find(entry, '\\n', stream, true))
  end
end
return entries
`);
