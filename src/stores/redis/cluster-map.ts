/** Which node of a Cluster has which slot, as its nodes tell it, and how each of them is connected to. */
import { storeAway } from '../../errors.ts';
import { ownWays, type ClusterOptions, type RedisClient, type RedisPackage, type Reply } from './client.ts';

const SLOTS = 16_384;

/** Answers `CLUSTER SLOTS`. */
export interface Asked {
  /** For a node that does not know its own address. */
  readonly host: string;
  ask(): Promise<Reply>;
}

export class ClusterMap {
  readonly #options: ClusterOptions;
  readonly #redis: RedisPackage;
  #addresses: Array<string | undefined> = Array.from({ length: SLOTS });

  constructor(options: ClusterOptions, redis: RedisPackage) {
    this.#options = options;
    this.#redis = redis;
  }

  addressOf(slot: number): string | undefined {
    return this.#addresses[slot];
  }

  /** A node has said so. */
  moved(slot: number, address: string): void {
    this.#addresses[slot] = address;
  }

  /** Every address that has a slot. */
  get addresses(): ReadonlySet<string> {
    return new Set(this.#addresses.filter((address) => address !== undefined));
  }

  /** The first that answers is believed. */
  async discover(nodes: readonly Asked[]): Promise<void> {
    try {
      this.#addresses = await Promise.any(nodes.map(async ({ host, ask }) => parseSlots(await ask(), host)));
    } catch (cause) {
      const [first] = (cause as AggregateError).errors as readonly unknown[];
      throw first instanceof Error ? first : storeAway('no node of the Cluster answers', cause);
    }
  }

  clientOf(address: string, connectMs: number): RedisClient {
    const { defaults, RESP, nodeAddressMap } = this.#options;
    const mapped = typeof nodeAddressMap === 'function' ? nodeAddressMap(address) : nodeAddressMap?.[address];
    const { host, port } = mapped ?? parseAddress(address);
    return this.#redis.createClient({ RESP, ...defaults, ...ownWays({ ...defaults?.socket, host, port }, connectMs) });
  }

  /** The nodes that the client was given to find the others. */
  seeds(connectMs: number): readonly Asked[] {
    const { defaults, RESP, rootNodes } = this.#options;
    return rootNodes.map((node) => ({
      host: node.socket?.host ?? (node.url === undefined ? 'localhost' : new URL(node.url).hostname),
      ask: async () => {
        const socket = { ...defaults?.socket, ...node.socket };
        const client = this.#redis.createClient({ RESP, ...defaults, ...node, ...ownWays(socket, connectMs) });
        client.on('error', () => undefined);
        try {
          await client.connect();
          return (await client.sendCommand(['CLUSTER', 'SLOTS'])) as Reply;
        } finally {
          client.destroy();
        }
      },
    }));
  }
}

/** Ranges: first slot, last slot, its primary (host, port …), replicas. */
function parseSlots(reply: Reply, host: string): Array<string | undefined> {
  const addresses: Array<string | undefined> = Array.from({ length: SLOTS });
  for (const [from, to, primary] of reply as ReadonlyArray<readonly [number, number, readonly Reply[]]>) {
    const [named, port] = primary;
    const address = `${named === null || named === '' ? host : String(named)}:${Number(port)}`;
    addresses.fill(address, from, to + 1);
  }
  return addresses;
}

export function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}
