/** The interface through which the store uses Redis: one server, a server behind Sentinel, or a Cluster. */
import type { Logger } from 'sojourn/internal';
import type { Reply } from './client.ts';
import { replyCode } from './failures.ts';
import type { LinkSettings, RedisLink } from './link.ts';
import type { Script } from './row-scripts.ts';

export interface ServerSettings extends LinkSettings {
  readonly logger: Logger;
  /** A key of each slot of a Cluster that the store uses. */
  readonly keys: readonly string[];
}

/** Keys of one slot. */
export type SlotKeys = readonly [string, ...string[]];

export interface RedisServer {
  /** For messages; without credentials. */
  readonly where: string;
  /** Its channels are sharded: each belongs to the node that has the slot of the key of the same name. */
  readonly isCluster: boolean;
  /** Connects. */
  open(): Promise<unknown>;
  /**
   * Sends a command about this key, and about no key of another slot. Commands about one key run in the order of the
   * calls.
   */
  send(key: string, args: readonly string[]): Promise<Reply>;
  /** What `TIME` answers: always of one server, while that is there. */
  time(): Promise<Reply>;
  /**
   * A connection that listens on a channel, where messages on it are published. It opens with its first command. Once
   * it is `lost`, messages may not arrive.
   */
  listener(channel: string, receive: (text: string) => void, lost: () => void): RedisLink;
  close(): Promise<void>;
}

/** Runs a script about keys of one slot, by its hash. A server without the script gets its text. */
export function run(
  server: RedisServer,
  { sha, lua }: Script,
  keys: SlotKeys,
  args: readonly string[],
): Promise<Reply> {
  const about = [String(keys.length), ...keys, ...args];
  return server.send(keys[0], ['EVALSHA', sha, ...about]).catch((error: unknown) => {
    if (replyCode(error) !== 'NOSCRIPT') throw error;
    return server.send(keys[0], ['EVAL', lua, ...about]);
  });
}

/** Makes a server from what `redis()` was given, not connected. */
export type Target = (settings: ServerSettings) => RedisServer;
