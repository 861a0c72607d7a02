/** Redis as the parts of the store use it, whatever it is made of: one server, one behind Sentinel, a Cluster. */
import type { Reply } from './client.ts';
import type { Script } from './scripts.ts';

/** Who listens on a channel. */
export interface ChannelUser {
  receive(text: string): void;
  /** What is published from now on may not arrive. */
  lost(): void;
}

/** Keys of one slot. */
export type Slot = readonly [string, ...string[]];

export interface Server {
  /** For messages; without credentials. */
  readonly where: string;
  /** The number of the database. */
  readonly database: number;
  /** A command about this key, and about others of its slot at most. Commands about one key are done in the order of asking. */
  send(key: string, args: readonly string[]): Promise<Reply>;
  /** A script about keys of one slot, in the same order; `read` makes something of its answer. */
  run<T>(script: Script, keys: Slot, args: readonly string[], read: (reply: Reply) => T): Promise<T>;
  /** How many connections got it. */
  publish(channel: string, text: string): Promise<number>;
  /** Resolves when what is published arrives. One user for each channel. */
  subscribe(channel: string, user: ChannelUser): Promise<void>;
  unsubscribe(channel: string, user: ChannelUser): Promise<void>;
  /** Resolves when what is published on these channels arrives, by question and answer on the very connection. */
  listen(channels: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export const evaluation = ({ sha }: Script, keys: Slot, args: readonly string[]): string[] => [
  'EVALSHA',
  sha,
  String(keys.length),
  ...keys,
  ...args,
];

export const asItIs = (reply: Reply): Reply => reply;
