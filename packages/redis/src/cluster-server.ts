/**
 * A Cluster: each primary has one connection for commands, and one for subscriptions when a channel is in its slots.
 *
 * A node does not run a command that belongs to another node. The store sends such a command again, to the right node,
 * within the time limit for a reply. Two commands about one key may overtake each other in this case, so the store
 * sends the second one after the answer to the first. When a node cannot be reached, or says that a slot has moved, the
 * store asks the other nodes for the slot map.
 */
import { Deadlines, backoffMs, elapse, storeAway } from 'sojourn/store-kit';
import { Channels } from './channels.ts';
import { CONNECT_MS, clusterOptions, loadRedis, type ClusterClient, type RedisClient, type Reply } from './client.ts';
import { ClusterMap, parseAddress } from './cluster-map.ts';
import { replyCode } from './failures.ts';
import { checkServer, type ServerCheck } from './server-check.ts';
import { RedisLink, type LinkSettings } from './link.ts';
import type { ChannelListener, Server } from './server.ts';
import { slotOf } from './slots.ts';

/** The pauses between tries while slots move. */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 200;

/** The connections to one primary. */
interface Node {
  readonly commands: RedisLink;
  readonly channels: Channels;
}

export class ClusterServer implements Server {
  readonly where: string;
  readonly isCluster = true;
  /** A Cluster has only database 0. */
  readonly database = 0;
  readonly #given: ClusterClient;
  readonly #settings: LinkSettings;
  readonly #check: ServerCheck;
  readonly #nodes = new Map<string, Node>();
  /** The connection on which each channel is subscribed. */
  readonly #listening = new Map<string, { readonly channels: Channels; readonly user: ChannelListener }>();
  #map: ClusterMap | undefined;
  #discovering: Promise<void> | undefined;
  #closed = false;

  constructor(given: ClusterClient, settings: LinkSettings, check: ServerCheck) {
    this.where = check.where;
    this.#given = given;
    this.#settings = settings;
    this.#check = check;
  }

  async open(): Promise<void> {
    this.#map = new ClusterMap(clusterOptions(this.#given), await loadRedis());
    await this.#discover();
    const links = [...this.#mapped.addresses].map((address) => this.#node(address).commands);
    const answers = await Promise.allSettled(links.map((link) => link.command(['PING'])));
    // If some primaries are away, their sessions are unavailable and the other sessions work.
    const [first] = answers;
    if (answers.some(({ status }) => status === 'fulfilled') || first?.status !== 'rejected') return;
    await this.close();
    throw first.reason;
  }

  /** A redirected command is sent again, for at most `limitMs`. */
  async send(key: string, args: readonly string[], lua?: string): Promise<Reply> {
    const slot = slotOf(key);
    const { deadlines, random } = this.#settings;
    const until = deadlines.deadline();
    let asking: string | undefined;
    for (let tries = 0; ; tries++) {
      const link = this.#node(asking ?? this.#addressOf(slot)).commands;
      try {
        // ASKING applies to the next command only.
        if (asking !== undefined) link.command(['ASKING']).catch(() => undefined);
        return await link.command(args, lua);
      } catch (error) {
        const redirection = redirectionOf(error);
        asking = undefined;
        if (!isReply(error)) void this.#discover().catch(() => undefined);
        if (redirection === undefined || deadlines.now() >= until) throw error;
        const { code, address } = redirection;
        if (code === 'MOVED') this.#mapped.moved(slot, address);
        else if (code === 'ASK') asking = address;
        else await elapse(deadlines.time, backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, random));
        if (code !== 'ASK') void this.#discover().catch(() => undefined);
      }
    }
  }

  /** The time of the first slot's node, so that all processes have one clock; while it is away, of the next node. */
  async time(): Promise<Reply> {
    let cause: unknown = storeAway(`${this.where}: no slot belongs to a node now`);
    for (const address of this.#mapped.addresses) {
      try {
        return await this.#node(address).commands.command(['TIME']);
      } catch (error) {
        cause = error;
      }
    }
    throw cause;
  }

  memory(): undefined {
    return undefined;
  }

  async publish(channel: string, text: string): Promise<number> {
    return Number(await this.send(channel, ['SPUBLISH', channel, text]));
  }

  async subscribe(channel: string, user: ChannelListener): Promise<void> {
    const channels = await this.#channelsOf(channel);
    await channels.subscribe(channel, user);
    this.#listening.set(channel, { channels, user });
  }

  async unsubscribe(channel: string, user: ChannelListener): Promise<void> {
    const listening = this.#listening.get(channel);
    if (listening?.user !== user) return;
    this.#listening.delete(channel);
    await listening.channels.unsubscribe(channel, user);
  }

  async listen(channel: string): Promise<void> {
    const listening = this.#listening.get(channel);
    if (listening === undefined) return;
    const channels = await this.#channelsOf(channel);
    if (channels !== listening.channels) {
      listening.channels.drop(channel);
      return this.subscribe(channel, listening.user);
    }
    // The check comes first: while a connection is being replaced, it receives nothing.
    await channels.answer();
    const counts = (await this.send(channel, ['PUBSUB', 'SHARDNUMSUB', channel])) as readonly Reply[];
    if (Number(counts[1]) === 0) throw channels.renew();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#nodes.values()].flatMap(closed));
    this.#nodes.clear();
  }

  /**
   * A channel has the slot of the key of the same name. A command about that key finds the node that has the slot now.
   */
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
    const make = (): RedisClient => this.#mapped.clientOf(address);
    const check = { ...this.#check, where };
    const commands = new RedisLink({
      ...this.#settings,
      where,
      make,
      setUp: async (client) => {
        await checkServer(client, check);
        this.#check.evictionWarned ||= check.evictionWarned;
      },
    });
    const channels = new Channels({ ...this.#settings, where, make }, true);
    const node = { commands, channels };
    this.#nodes.set(address, node);
    return node;
  }

  /** One discovery at a time. Connections to nodes without a slot are closed. */
  #discover(): Promise<void> {
    this.#discovering ??= this.#ask().finally(() => (this.#discovering = undefined));
    return this.#discovering;
  }

  async #ask(): Promise<void> {
    const map = this.#mapped;
    const known = [...this.#nodes].map(([address, { commands }]) => ({
      host: parseAddress(address).host,
      ask: () => commands.command(['CLUSTER', 'SLOTS']),
    }));
    const ask = async (): Promise<void> => {
      try {
        await map.discover(known);
      } catch {
        await map.discover(map.seeds());
      }
    };
    await new Deadlines(this.#settings.deadlines.time, 2 * CONNECT_MS).answered(this.where, ask());
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

/** The error is a reply of the node. */
const isReply = (error: unknown): boolean => codeOf(error) !== undefined;

/** Undefined: the command may have run, or the node refused it for good. */
function redirectionOf(error: unknown): Redirection | undefined {
  const code = codeOf(error);
  if (code !== 'MOVED' && code !== 'ASK' && code !== 'TRYAGAIN' && code !== 'CLUSTERDOWN') return undefined;
  const { message } = (error as Error).cause as Error;
  return { code, address: message.slice(message.lastIndexOf(' ') + 1) };
}
