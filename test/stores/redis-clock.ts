/**
 * A client whose server has a clock that tests move: a script that asks for the time reads a key instead. Keys still
 * expire by the server's real clock.
 */
import { createHash } from 'node:crypto';
import { createClient } from 'redis';
import type { RedisConnection } from '../../src/stores/redis/index.ts';

const ASKED = /local clock = redis\.call\('TIME'\)\nlocal now = .*/;
const KEY = 'test:clock';
const AHEAD_MS = 3_600_000;

export interface MovedClock {
  /** For `redis()`. */
  readonly client: RedisConnection;
  now(): number;
  pass(ms: number): Promise<void>;
  close(): void;
}

const sha = (lua: string): string => createHash('sha1').update(lua).digest('hex');

export async function moveClock(url: string): Promise<MovedClock> {
  const keeper = await createClient({ url }).connect();
  // Ahead of the server's real clock, so that no key expires early by that clock.
  let ms = Date.now() + AHEAD_MS;
  await keeper.set(KEY, String(ms));
  const moved = new Map<string, string>();
  const rewritten = (lua: string): string => {
    const other = lua.replace(ASKED, `local now = tonumber(redis.call('GET', '${KEY}'))`);
    moved.set(sha(lua), sha(other));
    return other;
  };
  const rewrite = ([command = '', first = '', ...rest]: readonly string[]): readonly string[] => {
    if (command === 'SCRIPT') return [command, first, ...rest.map(rewritten)];
    if (command === 'EVAL') return [command, rewritten(first), ...rest];
    return command === 'EVALSHA' ? [command, moved.get(first) ?? first, ...rest] : [command, first, ...rest];
  };
  const connection = (overrides: object): unknown => {
    const client = createClient({ url, ...overrides });
    const send = client.sendCommand.bind(client);
    const sendCommand = (args: readonly string[]): unknown => send(args.length === 1 ? args : rewrite(args));
    return Object.assign(client, { sendCommand });
  };
  const never = async (): Promise<never> => {
    throw new Error('the client of the caller is not used');
  };
  const client = { options: keeper.options, connect: never, sendCommand: never, duplicate: connection };
  return {
    client: client as unknown as RedisConnection,
    now: () => ms,
    async pass(more) {
      ms += more;
      await keeper.set(KEY, String(ms));
    },
    close: () => keeper.destroy(),
  };
}
