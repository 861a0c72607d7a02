/**
 * A Cluster: each primary has one connection for commands, and each channel has one to the primary of its slot.
 *
 * There is no slot map: every node knows which node has the slot of a key. While no connection to that node is open,
 * the store asks all nodes that it knows, and uses the first answer. A node that has lost a slot names the next one.
 *
 * A node does not run a command that belongs to another node. The store sends such a command again, to the right node,
 * within the time limit for a reply. Two commands about one key may overtake each other in this case, so the store
 * sends the second one after the answer to the first.
 */
import { backoffMs, elapse, storeAway } from 'sojourn/store-kit';
import {
  createClient,
  type Address,
  type ClientOptions,
  type ClusterClient,
  type ClusterOptions,
  type RedisClient,
  type Reply,
} from './client.ts';
import { replyCode } from './failures.ts';
import { RedisLink, withText } from './link.ts';
import { serverCheck } from './server-check.ts';
import type { ChannelListener, Server, ServerSettings } from './server.ts';

/** The pauses between tries while slots move. */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 200;

export class ClusterServer implements Server {
  readonly where = 'the Redis Cluster';
  readonly isCluster = true;
  readonly #configured: ClusterOptions;
  readonly #settings: ServerSettings;
  readonly #check: ReturnType<typeof serverCheck>;
  /** The configured nodes, by their addresses. Their configuration may differ from that of the others. */
  readonly #seeds: ReadonlyMap<string, ClientOptions>;
  readonly #nodes = new Map<string, RedisLink>();
  /** Which node has the slot of a hash tag, as far as this process knows. */
  readonly #owners = new Map<string, string>();
  readonly #searches = new Map<string, Promise<string>>();
  #closed = false;

  constructor({ _options }: ClusterClient, settings: ServerSettings) {
    this.#configured = _options;
    this.#settings = settings;
    this.#check = serverCheck(settings.logger, true);
    this.#seeds = new Map(_options.rootNodes.map((node) => [addressOf(node), node]));
    for (const address of this.#seeds.keys()) this.#node(address);
  }

  /** If some primaries are away, their sessions are unavailable and the other sessions work. */
  async open(): Promise<void> {
    const open = async (key: string): Promise<unknown> => this.#node(await this.#find(key)).ready();
    const answers = await Promise.allSettled(this.#settings.keys.map(open));
    const [first] = answers;
    if (first?.status === 'rejected' && answers.every(({ status }) => status === 'rejected')) throw first.reason;
  }

  async send(key: string, args: readonly string[], lua?: string): Promise<Reply> {
    const { deadlines, random } = this.#settings;
    const until = deadlines.deadline();
    let asking: string | undefined;
    for (let tries = 0; ; tries++) {
      let asked = asking ?? this.#openOwner(key) ?? '';
      try {
        if (asked === '') asked = await this.#find(key);
        const link = this.#node(asked);
        if (asking === undefined) return await link.command(args, lua);
        // ASKING applies to the next command only, and a node that gets its first slot has no script yet.
        link.command(['ASKING']).catch(() => undefined);
        return await link.command(lua === undefined ? args : withText(args, lua));
      } catch (error) {
        asking = undefined;
        const code = replyCode(error);
        if (deadlines.now() >= until) throw error;
        if (code === 'MOVED') this.#owners.set(tagOf(key), namedIn(error, asked));
        else if (code === 'ASK') asking = namedIn(error, asked);
        else if (code === 'TRYAGAIN' || code === 'CLUSTERDOWN') {
          if (code === 'CLUSTERDOWN') this.#owners.delete(tagOf(key));
          await elapse(deadlines.time, backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, random));
        } else throw error;
      }
    }
  }

  /**
   * The time of the first slot's node, so that all processes have one clock; while it is away, of the next node. The
   * commands for its slots open the connection of a node that is back.
   */
  async time(): Promise<Reply> {
    const asked = new Set<string | undefined>();
    const isOpen = (key: string): number => Number(this.#openOwner(key) !== undefined);
    let cause: unknown;
    for (const key of this.#settings.keys.toSorted((a, b) => isOpen(b) - isOpen(a))) {
      const owner = this.#owners.get(tagOf(key));
      if (asked.has(owner)) continue;
      asked.add(owner);
      try {
        return await this.send(key, ['TIME']);
      } catch (error) {
        cause = error;
      }
    }
    throw cause;
  }

  listener(channel: string, { receive, lost }: ChannelListener): RedisLink {
    const link: RedisLink = new RedisLink({
      ...this.#settings,
      where: this.where,
      lost,
      make: async () => this.#clientOf(await this.#find(channel)),
      setUp: (client) => {
        const moved = storeAway(`${this.where}: another node has the slot of a channel now`);
        client.on('sharded-channel-moved', () => link.destroy(moved));
        return client.sSubscribe(channel, receive);
      },
    });
    return link;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#nodes.values()].map((link) => link.close()));
  }

  #openOwner(key: string): string | undefined {
    const address = this.#owners.get(tagOf(key));
    return address !== undefined && this.#nodes.get(address)?.isOpen === true ? address : undefined;
  }

  #find(key: string): Promise<string> {
    const tag = tagOf(key);
    const search = this.#searches.get(tag) ?? this.#search(key, tag).finally(() => this.#searches.delete(tag));
    this.#searches.set(tag, search);
    return search;
  }

  /** Asks all nodes at once. The first answer counts: a node has the slot, or names the node that has it. */
  async #search(key: string, tag: string): Promise<string> {
    const asked = [...this.#nodes].map(async ([address, link]) => {
      try {
        await link.command(['EXISTS', key]);
      } catch (error) {
        const code = replyCode(error);
        if (code === 'MOVED') return namedIn(error, address);
        if (code !== 'ASK') throw error;
      }
      return address;
    });
    const owner = await Promise.any(asked).catch(({ errors }: AggregateError) => {
      throw errors[0];
    });
    this.#owners.set(tag, owner);
    const used = new Set([...this.#seeds.keys(), ...this.#owners.values()]);
    for (const [address, link] of this.#nodes) {
      if (used.has(address)) continue;
      this.#nodes.delete(address);
      void link.close();
    }
    return owner;
  }

  #node(address: string): RedisLink {
    const known = this.#nodes.get(address);
    if (known !== undefined) return known;
    if (this.#closed) throw storeAway(`the store at ${this.where} is closed`);
    const where = `${this.where}, node ${address}`;
    const make = (): RedisClient => this.#clientOf(address);
    const link = new RedisLink({ ...this.#settings, where, make, setUp: (client) => this.#check(client, where) });
    this.#nodes.set(address, link);
    return link;
  }

  #clientOf(address: string): RedisClient {
    const { defaults, RESP, nodeAddressMap } = this.#configured;
    const mapped = typeof nodeAddressMap === 'function' ? nodeAddressMap : (named: string) => nodeAddressMap?.[named];
    const node = this.#seeds.get(address) ?? { socket: mapped(address) ?? parseAddress(address) };
    return createClient({ RESP, ...defaults, ...node, socket: { ...defaults?.socket, ...node.socket } });
  }
}

/** The part of a key that its slot depends on. */
const tagOf = (key: string): string => key.slice(key.indexOf('{') + 1, key.indexOf('}'));

/** The node that a redirection names. It may be at the host of the node that was asked. */
function namedIn(redirection: unknown, asked: string): string {
  const { message } = (redirection as Error).cause as Error;
  const named = message.slice(message.lastIndexOf(' ') + 1);
  return named.startsWith(':') ? parseAddress(asked).host + named : named;
}

function parseAddress(address: string): Address {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}

function addressOf({ url = 'redis://localhost', socket }: ClientOptions): string {
  const { hostname, port } = new URL(url);
  return `${socket?.host ?? hostname}:${socket?.port ?? (port || 6379)}`;
}
