/**
 * A Cluster: each primary has one connection for commands, and each channel has one to the primary of its slot.
 *
 * There is no slot map: every node knows which node has the slot of a key. While no connection to that node is open,
 * the store asks all nodes that it knows, and uses the first answer. A node that has lost a slot names the next one.
 *
 * The configuration of a given Cluster client is all that the store uses of it: one of the package that is made during a
 * fail-over asks for the slot map once, and it does not find the node of an ASK without a host.
 *
 * A node does not run a command that belongs to another node. The store sends such a command again, to the right node,
 * within the time limit for a reply. Two commands about one key may overtake each other in this case, so the store
 * sends the second one after the answer to the first.
 */
import type { createCluster } from 'redis';
import { elapse, storeUnavailable } from 'sojourn/internal';
import { createClient, type ClientOptions, type RedisClient, type Reply } from './client.ts';
import { replyCode } from './failures.ts';
import { RedisLink } from './link.ts';
import { serverCheck } from './server-check.ts';
import type { RedisServer, ServerSettings } from './server.ts';

export type ClusterClient = Pick<ReturnType<typeof createCluster>, '_options'>;

/** Between tries while slots move, or their node is replaced. */
const PAUSE_MS = 50;

export class ClusterServer implements RedisServer {
  readonly where = 'the Redis Cluster';
  readonly isCluster = true;
  readonly #configured: ClusterClient['_options'];
  readonly #settings: ServerSettings;
  readonly #check: ReturnType<typeof serverCheck>;
  /** The configured nodes, by their addresses. Their configuration may differ from that of the others. */
  readonly #seeds: ReadonlyMap<string, ClientOptions>;
  readonly #nodes = new Map<string, RedisLink>();
  /** Which node has the slot of a hash tag, as far as this process knows. */
  readonly #owners = new Map<string, string>();
  #closed = false;

  constructor({ _options }: ClusterClient, settings: ServerSettings) {
    this.#configured = _options;
    this.#settings = settings;
    this.#check = serverCheck(settings.logger, true);
    this.#seeds = new Map(_options.rootNodes.map((node) => [addressOf(node), node]));
  }

  /** If some primaries are away, their sessions are unavailable and the other sessions work. */
  async open(): Promise<void> {
    const open = async (key: string): Promise<unknown> => this.#node(await this.#find(key)).ready();
    // All of them: `time` asks the first that is open.
    const answers = await Promise.allSettled(this.#settings.keys.map(open));
    const [first] = answers;
    if (first?.status === 'rejected' && answers.every(({ status }) => status === 'rejected'))
      throw first.reason;
  }

  async send(key: string, args: readonly string[]): Promise<Reply> {
    const { deadlines } = this.#settings;
    const until = deadlines.deadline();
    let asking: string | undefined;
    for (;;) {
      let asked = asking ?? this.#openOwner(key) ?? '';
      try {
        if (asked === '') asked = await this.#find(key);
        const link = this.#node(asked);
        // It applies to the next command only.
        if (asking !== undefined) link.command(['ASKING']).catch(() => undefined);
        return await link.command(args);
      } catch (error) {
        asking = undefined;
        const code = replyCode(error);
        if (deadlines.now() >= until) throw error;
        if (code === 'MOVED') this.#owners.set(tagOf(key), namedIn(error, asked));
        else if (code === 'ASK') asking = namedIn(error, asked);
        else if (code === 'TRYAGAIN' || code === 'CLUSTERDOWN') {
          if (code === 'CLUSTERDOWN') this.#owners.delete(tagOf(key));
          await elapse(deadlines.time, PAUSE_MS);
        } else throw error;
      }
    }
  }

  /**
   * The time of the first slot's node, so that all processes have one clock; while it is away, of the next node. The
   * commands for its slots open the connection of a node that is back.
   */
  time(): Promise<Reply> {
    const { keys } = this.#settings;
    const ask = (): Promise<Reply> =>
      this.send(keys.find((key) => this.#openOwner(key) !== undefined) ?? keys[0] ?? '', ['TIME']);
    // The connection to a node that has not answered is no longer open.
    return ask().catch(ask);
  }

  listener(channel: string, receive: (text: string) => void, lost: () => void): RedisLink {
    const make = async (): Promise<RedisClient> => this.#clientOf(await this.#find(channel));
    const link: RedisLink = new RedisLink(
      { ...this.#settings, lost },
      this.where,
      make,
      (client) => {
        const moved = storeUnavailable(`${this.where}: another node has the slot of a channel now`);
        client.on('sharded-channel-moved', () => link.destroy(moved));
        return client.sSubscribe(channel, receive);
      },
    );
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

  /** Asks all nodes at once. The first answer counts: a node has the slot, or names the node that has it. */
  async #find(key: string): Promise<string> {
    const known = new Set([...this.#seeds.keys(), ...this.#owners.values()]);
    const asked = [...known].map(async (address) => {
      try {
        await this.#node(address).command(['EXISTS', key]);
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
    this.#owners.set(tagOf(key), owner);
    return owner;
  }

  #node(address: string): RedisLink {
    const known = this.#nodes.get(address);
    if (known !== undefined) return known;
    if (this.#closed) throw storeUnavailable(`the store at ${this.where} is closed`);
    const where = `${this.where}, node ${address}`;
    const make = (): RedisClient => this.#clientOf(address);
    const link = new RedisLink(this.#settings, where, make, (client) => this.#check(client, where));
    this.#nodes.set(address, link);
    return link;
  }

  #clientOf(address: string): RedisClient {
    const { defaults, nodeAddressMap } = this.#configured;
    const mapped =
      typeof nodeAddressMap === 'function' ? nodeAddressMap(address) : nodeAddressMap?.[address];
    const node = this.#seeds.get(address) ?? { socket: mapped ?? parseAddress(address) };
    return createClient({
      ...defaults,
      ...node,
      socket: { ...defaults?.socket, ...node.socket },
    });
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

function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}

function addressOf({ url = 'redis://localhost', socket = {} }: ClientOptions): string {
  const { hostname, port } = new URL(url);
  const { host = hostname, port: at = port || '6379' } = socket as Partial<
    Readonly<Record<string, string>>
  >;
  return `${host}:${at}`;
}
