/** Redis as the parts of the store use it, whatever it is made of: one server, one behind Sentinel, a Cluster. */
import type { Reply } from './client.ts';
import { replyCode } from './failures.ts';
import type { Script } from './scripts.ts';

/** Who listens on a channel. */
export interface ChannelUser {
  receive(text: string): void;
  /** What is published from now on may not arrive. */
  lost(): void;
}

export interface Server {
  /** For messages; without credentials. */
  readonly where: string;
  /** The number of the database. */
  readonly database: number;
  /** A command about this key, and about others of its slot at most. Commands about one key are done in the order of asking. */
  send(key: string, args: readonly string[]): Promise<Reply>;
  /** How many connections got it. */
  publish(channel: string, text: string): Promise<number>;
  /** Resolves when what is published arrives. One user for each channel. */
  subscribe(channel: string, user: ChannelUser): Promise<void>;
  unsubscribe(channel: string, user: ChannelUser): Promise<void>;
  /** Resolves when what is published on these channels arrives, by question and answer on the very connection. */
  listen(channels: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** Runs a script; a server that does not have it gets it. */
export function run(
  server: Server,
  { sha, lua }: Script,
  keys: readonly [string, ...string[]],
  args: readonly string[],
): Promise<Reply> {
  const count = String(keys.length);
  return server.send(keys[0], ['EVALSHA', sha, count, ...keys, ...args]).catch((error: unknown) => {
    const { cause } = error as Error;
    if (cause === undefined || replyCode(cause) !== 'NOSCRIPT') throw error;
    return server.send(keys[0], ['EVAL', lua, count, ...keys, ...args]);
  });
}
