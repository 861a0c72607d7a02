/**
 * Compares Redis structures for the event log and their cost: `npx tsx bench/redis-structures.mjs`. It makes calls of
 * 130 bytes by a fenced script, on a separate server with an append-only file.
 */
import { createClient } from 'redis';
import { startServer } from '../test/kit/servers/start.ts';

const server = await startServer('redis', { args: ['--appendonly', 'yes'] });
const asker = await createClient({ url: server.url, RESP: 2 }).connect();
const fact = async (section, name) =>
  Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(await asker.sendCommand(['INFO', section]))?.[1]);
const serverCpuMs = async () => ((await fact('cpu', 'used_cpu_user')) + (await fact('cpu', 'used_cpu_sys'))) * 1_000;
const usedMemory = () => fact('memory', 'used_memory');

const RESULT = JSON.stringify({
  jsonrpc: '2.0',
  id: 17,
  result: { content: [{ type: 'text', text: 'hello world' }], structuredContent: { echoed: 'hello world' } },
});
const id = (n) => `s${String(n).padStart(21, '0')}`;

/** A fenced append to a list, a stream and a hash, each with the stream names that it needs. */
const FENCED = `
local head = redis.call('HMGET', KEYS[1], 'f', 'c')
if head[1] ~= ARGV[1] then return 'F' end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEYS[1], 'w', ARGV[4], 'c', ARGV[4] .. ' ' .. now)
`;
const NEW = `if redis.call('HSETNX', KEYS[3], ARGV[2], '') == 0 then return 'F' end\n`;
const STRUCTURES = {
  list: `${FENCED}${NEW}redis.call('RPUSH', KEYS[2], now .. ' ' .. ARGV[4] .. ' ' .. ARGV[2] .. ARGV[3]) return 'W'`,
  stream: `${FENCED}${NEW}redis.call('XADD', KEYS[2], '*', 's', ARGV[2], 'n', ARGV[4], 'd', ARGV[3]) return 'W'`,
  hash: `${FENCED}if redis.call('HSETNX', KEYS[2], ARGV[2], now .. ' ' .. ARGV[4] .. ' ' .. ARGV[3]) == 0 then return 'F' end return 'W'`,
};

async function measureStructures() {
  for (const [name, lua] of Object.entries(STRUCTURES)) {
    const sha = await asker.sendCommand(['SCRIPT', 'LOAD', lua]);
    for (const calls of [2, 50, 500]) {
      await asker.sendCommand(['FLUSHALL']);
      const count = Math.max(20, Math.floor(20_000 / calls));
      const keys = Array.from({ length: count }, (_, n) => ['r', 'l', 'k'].map((key) => `bench:{${id(n)}}:${key}`));
      for (const [head] of keys) await asker.sendCommand(['HSET', head, 'f', '1 me', 'c', '', 'w', '']);
      const [empty, cpu] = [await usedMemory(), await serverCpuMs()];
      for (let n = 0; n < calls; n++) {
        const args = ['1 me', `p1x${n.toString(36)}`, `\x1e${RESULT}`, String(n)];
        for (let first = 0; first < count; first += 64) {
          const some = keys.slice(first, first + 64);
          await Promise.all(some.map((of) => asker.sendCommand(['EVALSHA', sha, '3', ...of, ...args])));
        }
      }
      const used = ((await serverCpuMs()) - cpu) / (count * calls);
      const bytes = ((await usedMemory()) - empty) / count;
      const each = `${bytes.toFixed(0).padStart(7)} bytes per session, ${(bytes / calls).toFixed(0).padStart(5)} per call`;
      console.log(
        `${name.padEnd(7)} ${String(calls).padStart(4)} calls: ${each}, ${(used * 1_000).toFixed(1)} µs of the server`,
      );
    }
  }
}

try {
  await measureStructures();
} finally {
  asker.destroy();
  await server.close();
}
