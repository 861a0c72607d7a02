/**
 * A Cluster: each primary has one connection for commands, and one for each channel in its slots.
 *
 * A node does not run a command that belongs to another node. The store sends such a command again, to the right node,
 * within the time limit for a reply. Two commands about one key may overtake each other in this case, so the store
 * sends the second one after the answer to the first. When a node cannot be reached, or says that a slot has moved, the
 * store asks the other nodes for the slot map.
 */
import { backoffMs, elapse, storeAway } from 'sojourn/store-kit';
import { CONNECT_MS, type Reply } from './client.ts';
import { type ClusterMap, parseAddress } from './cluster-map.ts';
import { replyCode } from './failures.ts';
import { checkServer, type ServerCheck } from './server-check.ts';
import { RedisLink, withText, type LinkSettings } from './link.ts';
import type { ChannelListener, Server } from './server.ts';
import { slotOf } from './slots.ts';

/** The pauses between tries while slots move. */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 200;

export class ClusterServer implements Server {
  readonly where: string;
  readonly isCluster = true;
  /** A Cluster has only database 0. */
  readonly database = 0;
  readonly #map: ClusterMap;
  readonly #settings: LinkSettings;
  readonly #check: ServerCheck;
  /** Its primaries, by their addresses. */
  readonly #nodes = new Map<string, RedisLink>();
  #discovering: Promise<void> | undefined;
  #closed = false;

  constructor(where: string, map: ClusterMap, settings: LinkSettings, check: ServerCheck) {
    this.where = where;
    this.#map = map;
    this.#settings = settings;
    this.#check = check;
  }

  async open(): Promise<void> {
    await this.#discover();
    const links = [...this.#map.addresses].map((address) => this.#node(address));
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
      const asked = asking ?? this.#addressOf(slot);
      const link = this.#node(asked);
      try {
        if (asking === undefined) return await link.command(args, lua);
        // ASKING applies to the next command only, and a node that gets its first slot has no script yet.
        link.command(['ASKING']).catch(() => undefined);
        return await link.command(lua === undefined ? args : withText(args, lua));
      } catch (error) {
        const redirection = redirectionOf(error, asked);
        asking = undefined;
        if (!isReply(error)) void this.#discover().catch(() => undefined);
        if (redirection === undefined || deadlines.now() >= until) throw error;
        const { code, address } = redirection;
        if (code === 'MOVED') this.#map.moved(slot, address);
        else if (code === 'ASK') asking = address;
        else await elapse(deadlines.time, backoffMs(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, random));
        if (code !== 'ASK') void this.#discover().catch(() => undefined);
      }
    }
  }

  /**
   * The time of the first slot's node, so that all processes have one clock; while it is away, of the next node. The
   * commands for its slots open the connection of a node that is back.
   */
  async time(): Promise<Reply> {
    let cause: unknown = storeAway(`${this.where}: no slot belongs to a node now`);
    const nodes = [...this.#map.addresses].map((address) => this.#node(address));
    for (const node of nodes.toSorted((a, b) => Number(b.isOpen) - Number(a.isOpen))) {
      try {
        return await node.command(['TIME']);
      } catch (error) {
        cause = error;
      }
    }
    throw cause;
  }

  memory(): undefined {
    return undefined;
  }

  listener(channel: string, { receive, lost }: ChannelListener): RedisLink {
    const link: RedisLink = new RedisLink({
      ...this.#settings,
      where: this.where,
      lost,
      make: async () => {
        // The answer comes from the node that has the slot now.
        await this.send(channel, ['EXISTS', channel]);
        return this.#map.clientOf(this.#addressOf(slotOf(channel)));
      },
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
    this.#nodes.clear();
  }

  #addressOf(slot: number): string {
    const address = this.#map.addressOf(slot);
    if (address !== undefined) return address;
    void this.#discover().catch(() => undefined);
    throw storeAway(`${this.where}: slot ${slot} belongs to no node now`);
  }

  #node(address: string): RedisLink {
    const known = this.#nodes.get(address);
    if (known !== undefined) return known;
    if (this.#closed) throw storeAway(`the store at ${this.where} is closed`);
    const where = `${this.where}, node ${address}`;
    const link = new RedisLink({
      ...this.#settings,
      where,
      make: () => this.#map.clientOf(address),
      setUp: (client) => checkServer(client, where, this.#check),
    });
    this.#nodes.set(address, link);
    return link;
  }

  /** One discovery at a time. Connections to nodes without a slot are closed. */
  #discover(): Promise<void> {
    this.#discovering ??= this.#ask().finally(() => (this.#discovering = undefined));
    return this.#discovering;
  }

  async #ask(): Promise<void> {
    const map = this.#map;
    const known = [...this.#nodes].map(([address, link]) => ({
      host: parseAddress(address).host,
      ask: () => link.command(['CLUSTER', 'SLOTS']),
    }));
    const ask = async (): Promise<void> => {
      try {
        await map.discover(known);
      } catch {
        await map.discover(map.seeds());
      }
    };
    await this.#settings.deadlines.answered(this.where, ask(), 2 * CONNECT_MS);
    if (this.#closed) return;
    for (const [address, link] of this.#nodes) {
      if (map.addresses.has(address)) continue;
      this.#nodes.delete(address);
      void link.close();
    }
  }
}

interface Redirection {
  readonly code: 'MOVED' | 'ASK' | 'TRYAGAIN' | 'CLUSTERDOWN';
  readonly address: string;
}

const codeOf = (error: unknown): string | undefined => replyCode((error as Error).cause ?? {});

/** The error is a reply of the node. */
const isReply = (error: unknown): boolean => codeOf(error) !== undefined;

/**
 * `asked`: the address of the node, whose host the other node has too where the redirection names none. Undefined: the
 * command may have run, or the node refused it for good.
 */
function redirectionOf(error: unknown, asked: string): Redirection | undefined {
  const code = codeOf(error);
  if (code !== 'MOVED' && code !== 'ASK' && code !== 'TRYAGAIN' && code !== 'CLUSTERDOWN') return undefined;
  const { message } = (error as Error).cause as Error;
  const named = message.slice(message.lastIndexOf(' ') + 1);
  return { code, address: named.startsWith(':') ? parseAddress(asked).host + named : named };
}
