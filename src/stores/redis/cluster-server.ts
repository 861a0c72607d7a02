/**
 * A Cluster: for each primary a connection for commands, and one that listens where a channel is in its slots.
 *
 * A command that was sent to the wrong node was not done: it is sent again to the right one, within the time for an answer.
 * Two commands about one key may pass each other then; the number of the later one makes the store refuse the earlier one.
 * Whenever a node cannot be reached or says that a slot has moved, the others are asked who has which slots now.
 */
import { storeAway } from '../../errors.ts';
import { elapse } from '../../options/system.ts';
import { monotonic } from './awaited.ts';
import { bounded } from './bounded.ts';
import { Channels } from './channels.ts';
import { loadRedis, type ClusterClient, type RedisClient, type Reply } from './client.ts';
import { ClusterMap, parseAddress } from './cluster-map.ts';
import { replyCode } from './failures.ts';
import { greet, type Greeting } from './greeting.ts';
import { CONNECT_MS, Link, type LinkSettings } from './link.ts';
import type { Script } from './scripts.ts';
import { asItIs, evaluation, type ChannelUser, type Server, type Slot } from './server.ts';
import { slotOf } from './slots.ts';

/** While slots change hands. */
const PAUSE_MS = 20;

/** The connections to one primary. */
interface Node {
  readonly commands: Link;
  readonly channels: Channels;
}

export class ClusterServer implements Server {
  readonly where: string;
  /** A Cluster has but one. */
  readonly database = 0;
  readonly #given: ClusterClient;
  readonly #settings: LinkSettings;
  readonly #greeting: Greeting;
  readonly #nodes = new Map<string, Node>();
  /** Where each channel is listened on. */
  readonly #listening = new Map<string, { readonly channels: Channels; readonly user: ChannelUser }>();
  #map: ClusterMap | undefined;
  #discovering: Promise<void> | undefined;
  #closed = false;

  constructor(given: ClusterClient, settings: LinkSettings, greeting: Greeting) {
    this.where = greeting.where;
    this.#given = given;
    this.#settings = settings;
    this.#greeting = greeting;
  }

  async open(): Promise<void> {
    this.#map = new ClusterMap(this.#given._options, await loadRedis());
    await this.#discover();
    const links = [...this.#mapped.addresses].map((address) => this.#node(address).commands);
    const answers = await Promise.allSettled(links.map((link) => link.command(['PING'], asItIs)));
    // One that is away is one whose sessions are: the others serve.
    const [first] = answers;
    if (answers.some(({ status }) => status === 'fulfilled') || first?.status !== 'rejected') return;
    await this.close();
    throw first.reason;
  }

  send(key: string, args: readonly string[]): Promise<Reply> {
    return this.#send(key, args, asItIs);
  }

  run<T>(script: Script, keys: Slot, args: readonly string[], read: (reply: Reply) => T): Promise<T> {
    return this.#send(keys[0], evaluation(script, keys, args), read, script.lua);
  }

  async #send<T>(key: string, args: readonly string[], read: (reply: Reply) => T, lua?: string): Promise<T> {
    const slot = slotOf(key);
    const { time, limitMs } = this.#settings;
    const until = monotonic(time) + limitMs();
    let asking: string | undefined;
    for (;;) {
      const link = this.#node(asking ?? this.#addressOf(slot)).commands;
      try {
        // For the very next command.
        if (asking !== undefined) link.command(['ASKING'], asItIs).catch(() => undefined);
        return await link.command(args, read, lua);
      } catch (error) {
        const redirection = redirectionOf(error);
        asking = undefined;
        if (!isReply(error)) void this.#discover().catch(() => undefined);
        if (redirection === undefined || monotonic(time) >= until) throw error;
        const { code, address } = redirection;
        if (code === 'MOVED') this.#mapped.moved(slot, address);
        else if (code === 'ASK') asking = address;
        else await elapse(time, PAUSE_MS);
        if (code !== 'ASK') void this.#discover().catch(() => undefined);
      }
    }
  }

  async publish(channel: string, text: string): Promise<number> {
    return Number(await this.send(channel, ['SPUBLISH', channel, text]));
  }

  async subscribe(channel: string, user: ChannelUser): Promise<void> {
    const channels = await this.#channelsOf(channel);
    await channels.subscribe(channel, user);
    this.#listening.set(channel, { channels, user });
  }

  async unsubscribe(channel: string, user: ChannelUser): Promise<void> {
    const listening = this.#listening.get(channel);
    if (listening?.user !== user) return;
    this.#listening.delete(channel);
    await listening.channels.unsubscribe(channel, user);
  }

  async listen(channels: readonly string[]): Promise<void> {
    await Promise.all(channels.map((channel) => this.#listen(channel)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#nodes.values()].flatMap(closed));
    this.#nodes.clear();
  }

  async #listen(channel: string): Promise<void> {
    const listening = this.#listening.get(channel);
    if (listening === undefined) return;
    const channels = await this.#channelsOf(channel);
    if (channels !== listening.channels) {
      listening.channels.drop(channel);
      return this.subscribe(channel, listening.user);
    }
    // First: while the connection is made anew nobody is heard.
    await channels.answer();
    const counts = (await this.send(channel, ['PUBSUB', 'SHARDNUMSUB', channel])) as readonly Reply[];
    if (Number(counts[1]) === 0) throw channels.renew();
  }

  /** A channel has the slot of a key of its name: a command about that key finds the node where it is now. */
  async #channelsOf(channel: string): Promise<Channels> {
    await this.send(channel, ['EXISTS', channel]);
    return this.#node(this.#addressOf(slotOf(channel))).channels;
  }

  get #mapped(): ClusterMap {
    if (this.#map === undefined) throw storeAway(`${this.where} was not opened`);
    return this.#map;
  }

  #addressOf(slot: number): string {
    const address = this.#mapped.addressOf(slot);
    if (address !== undefined) return address;
    void this.#discover().catch(() => undefined);
    throw storeAway(`${this.where}: slot ${slot} belongs to no node now`);
  }

  #node(address: string): Node {
    const known = this.#nodes.get(address);
    if (known !== undefined) return known;
    if (this.#closed) throw storeAway(`the store at ${this.where} is closed`);
    const where = `${this.where}, node ${address}`;
    const make = async (connectMs: number): Promise<RedisClient> => this.#mapped.clientOf(address, connectMs);
    const greeting = { ...this.#greeting, where };
    const commands = new Link({
      ...this.#settings,
      where,
      make,
      setUp: async (client) => {
        await greet(client, greeting);
        this.#greeting.evictionSaid ||= greeting.evictionSaid;
      },
    });
    const channels = new Channels({ ...this.#settings, where, make }, true);
    const node = { commands, channels };
    this.#nodes.set(address, node);
    commands.begin();
    return node;
  }

  /** One at a time. Nodes that have no slot any more are left. */
  #discover(): Promise<void> {
    this.#discovering ??= this.#ask().finally(() => (this.#discovering = undefined));
    return this.#discovering;
  }

  async #ask(): Promise<void> {
    const map = this.#mapped;
    const known = [...this.#nodes].map(([address, { commands }]) => ({
      host: parseAddress(address).host,
      ask: () => commands.command(['CLUSTER', 'SLOTS'], asItIs),
    }));
    const ask = async (): Promise<void> => {
      try {
        await map.discover(known);
      } catch {
        await map.discover(map.seeds(CONNECT_MS));
      }
    };
    await bounded(this.#settings, 2 * CONNECT_MS, this.where, ask());
    if (this.#closed) return;
    for (const [address, node] of this.#nodes) {
      if (map.addresses.has(address)) continue;
      this.#nodes.delete(address);
      for (const { channels, user } of this.#listening.values()) if (channels === node.channels) user.lost();
      void Promise.all(closed(node));
    }
  }
}

const closed = ({ commands, channels }: Node): readonly Promise<void>[] => [commands.close(), channels.close()];

interface Redirection {
  readonly code: 'MOVED' | 'ASK' | 'TRYAGAIN' | 'CLUSTERDOWN';
  readonly address: string;
}

const codeOf = (error: unknown): string | undefined => replyCode((error as Error).cause ?? {});

/** The node has answered. */
const isReply = (error: unknown): boolean => codeOf(error) !== undefined;

/** Undefined: the command may have been done, or is refused for good. */
function redirectionOf(error: unknown): Redirection | undefined {
  const code = codeOf(error);
  if (code !== 'MOVED' && code !== 'ASK' && code !== 'TRYAGAIN' && code !== 'CLUSTERDOWN') return undefined;
  const { message } = (error as Error).cause as Error;
  return { code, address: message.slice(message.lastIndexOf(' ') + 1) };
}
