/** The interface through which the store uses Redis: one server, a server behind Sentinel, or a Cluster. */
import type { Logger, RandomSource } from 'sojourn/store-kit';
import type { Reply } from './client.ts';
import type { LinkSettings, RedisLink } from './link.ts';
import type { Script } from './row-scripts.ts';

export interface ServerSettings extends LinkSettings {
  readonly random: RandomSource;
  readonly logger: Logger;
  /** A key of each slot of a Cluster that the store uses. */
  readonly keys: readonly string[];
}

/** Listens on a channel. */
export interface ChannelListener {
  receive(text: string): void;
  /** Messages published from now on may not arrive. */
  lost(): void;
}

/** Keys of one slot. */
export type SlotKeys = readonly [string, ...string[]];

export interface Server {
  /** For messages; without credentials. */
  readonly where: string;
  /** Its channels are sharded: each belongs to the node that has the slot of the key of the same name. */
  readonly isCluster: boolean;
  /** Connects. */
  open(): Promise<unknown>;
  /**
   * Sends a command about this key, and about no key of another slot. Commands about one key run in the order of the
   * calls. `lua`: the script that the command runs by its hash; a server without the script gets its text.
   */
  send(key: string, args: readonly string[], lua?: string): Promise<Reply>;
  /** What `TIME` answers: always of one server, while that is there. */
  time(): Promise<Reply>;
  /** A connection that listens on a channel, where messages on it are published. It opens with its first command. */
  listener(channel: string, listener: ChannelListener): RedisLink;
  close(): Promise<void>;
}

/** Runs a script about keys of one slot. */
export const run = (server: Server, { sha, lua }: Script, keys: SlotKeys, args: readonly string[]): Promise<Reply> =>
  server.send(keys[0], ['EVALSHA', sha, String(keys.length), ...keys, ...args], lua);

/** Makes a server from what `redis()` was given, not connected. */
export type Target = (settings: ServerSettings) => Server;
