/** A client whose server has a clock that tests move: the store's question for the time is answered from a key. */
import { createClient } from 'redis';
import { RedisStore } from '../../packages/redis/src/redis-store.ts';
import type { RedisClient } from '../../packages/redis/src/client.ts';
import type { Store } from '../../src/stores/store.ts';

const KEY = 'test:clock';
const AHEAD_MS = 3_600_000;

export interface MovedClock {
  /** Store objects that ask the clock for each step. */
  connect(): Store;
  now(): number;
  pass(ms: number): Promise<void>;
  close(): void;
}

export async function moveClock(url: string): Promise<MovedClock> {
  const keeper = await createClient({ url }).connect();
  let ms = Date.now() + AHEAD_MS;
  await keeper.set(KEY, String(ms));
  const connection = (overrides: object): unknown => {
    const client = createClient({ url, ...overrides });
    const send = client.sendCommand.bind(client);
    const time = async (): Promise<readonly string[]> => {
      const now = Number(await send(['GET', KEY]));
      return [String(Math.floor(now / 1_000)), String((now % 1_000) * 1_000)];
    };
    const sendCommand = (args: readonly string[]): unknown => (args[0] === 'TIME' ? time() : send(args));
    return Object.assign(client, { sendCommand });
  };
  const never = async (): Promise<never> => {
    throw new Error('the client of the caller is not used');
  };
  const client = { options: keeper.options, connect: never, sendCommand: never, duplicate: connection };
  return {
    connect: () => new RedisStore({ kind: 'client', client: client as unknown as RedisClient }, 'sojourn', 0),
    now: () => ms,
    async pass(more) {
      ms += more;
      await keeper.set(KEY, String(ms));
    },
    close: () => keeper.destroy(),
  };
}
