/** Which node of a Cluster has which slot, according to its nodes, and how to connect to each node. */
import { storeAway } from 'sojourn/store-kit';
import {
  connectionOverrides,
  destroyClient,
  type ClusterOptions,
  type RedisClient,
  type RedisPackage,
  type Reply,
} from './client.ts';

const SLOTS = 16_384;

/** A node that can answer `CLUSTER SLOTS`. */
export interface SlotSource {
  /** Replaces the address of a node that does not know its address. */
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

  /** A node has answered `MOVED`. */
  moved(slot: number, address: string): void {
    this.#addresses[slot] = address;
  }

  /** Every address that has at least one slot. */
  get addresses(): ReadonlySet<string> {
    return new Set(this.#addresses.filter((address) => address !== undefined));
  }

  /** Uses the first reply. */
  async discover(nodes: readonly SlotSource[]): Promise<void> {
    try {
      this.#addresses = await Promise.any(nodes.map(async ({ host, ask }) => parseSlots(await ask(), host)));
    } catch (cause) {
      const [first] = (cause as AggregateError).errors as readonly unknown[];
      throw first instanceof Error ? first : storeAway('no node of the Cluster answers', cause);
    }
  }

  clientOf(address: string): RedisClient {
    const { defaults, RESP, nodeAddressMap } = this.#options;
    const mapped = typeof nodeAddressMap === 'function' ? nodeAddressMap(address) : nodeAddressMap?.[address];
    const { host, port } = mapped ?? parseAddress(address);
    return this.#redis.createClient({
      RESP,
      ...defaults,
      ...connectionOverrides({ ...defaults?.socket, host, port }),
    });
  }

  /** The nodes that the client was configured with. */
  seeds(): readonly SlotSource[] {
    const { defaults, RESP, rootNodes } = this.#options;
    return rootNodes.map((node) => ({
      host: node.socket?.host ?? (node.url === undefined ? 'localhost' : new URL(node.url).hostname),
      ask: async () => {
        const socket = { ...defaults?.socket, ...node.socket };
        const client = this.#redis.createClient({
          RESP,
          ...defaults,
          ...node,
          ...connectionOverrides(socket),
        });
        client.on('error', () => undefined);
        try {
          await client.connect();
          return (await client.sendCommand(['CLUSTER', 'SLOTS'])) as Reply;
        } finally {
          destroyClient(client);
        }
      },
    }));
  }
}

/** Each range holds its first slot, its last slot, its primary (host, port, …) and its replicas. */
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
