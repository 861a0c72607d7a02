/**
 * Finds commands that the user of a connection may not run. `ACL DRYRUN` needs another right, and managed
 * servers refuse it. So a script tries each command on a key that holds a text. A server checks the right first, and
 * then refuses most of the commands, because the key has the wrong type. The script removes the key.
 */
import type { RedisClient } from './client.ts';
import { missingRights } from './failures.ts';

/** KEY and CHANNEL are replaced. `SET` comes first, so that the key has its type. */
const TRIED = [
  'SET KEY x PX 1000',
  'TIME',
  'EXISTS KEY',
  'GET KEY',
  'PEXPIRE KEY 1000',
  'PEXPIREAT KEY 9999999999999',
  'PERSIST KEY',
  'HGET KEY x',
  'HMGET KEY x',
  'HGETALL KEY',
  'HSET KEY x x',
  'HSETNX KEY x x',
  'HDEL KEY x',
  'RPUSH KEY x',
  'LRANGE KEY 0 0',
  'LTRIM KEY 0 0',
  'ZADD KEY 1 x',
  'ZREM KEY x',
  'ZSCORE KEY x',
  'ZCARD KEY',
  'ZRANGE KEY 0 0',
  'ZRANGEBYSCORE KEY 0 0',
  'ZRANGEBYLEX KEY - +',
  'ZLEXCOUNT KEY - +',
  'PUBLISH CHANNEL x',
  'PUBSUB NUMSUB CHANNEL',
  'GETDEL KEY',
  'DEL KEY',
];
const TRIED_IN_CLUSTER = ['SPUBLISH CHANNEL x', 'PUBSUB SHARDNUMSUB CHANNEL'];

/**
 * Returns the refused lines. The key is not declared, because a node of a Cluster may not have its slot: the node
 * checks the right before it checks that. Redis 6.2 has its own words, and rights to keys have others.
 */
const LUA = `
local refused = {}
for _, line in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(line, '%S+') do words[#words + 1] = word end
  local reply = redis.pcall(unpack(words))
  local failure = type(reply) == 'table' and reply.err or ''
  if string.find(failure, "to run the '", 1, true) or string.find(failure, "can't run this command", 1, true) then
    refused[#refused + 1] = line
  end
end
return refused
`;

export interface CheckedUser {
  readonly where: string;
  readonly prefix: string;
  readonly cluster: boolean;
}

/** @throws StoreAway naming the commands. */
export async function checkRights(client: RedisClient, { where, prefix, cluster }: CheckedUser): Promise<void> {
  const scratch = `${prefix}:{rights}:check`;
  const lines = cluster ? [...TRIED, ...TRIED_IN_CLUSTER] : TRIED;
  const tried = lines.map((line) => line.replace(/KEY|CHANNEL/, scratch));
  const refused = (await client.sendCommand(['EVAL', LUA, '0', ...tried])) as readonly string[];
  if (refused.length === 0) return;
  throw missingRights(
    where,
    refused.map((line) => (/^PUBSUB \w+|^\w+/.exec(line)?.[0] ?? line).toLowerCase().replace(' ', '|')),
  );
}
