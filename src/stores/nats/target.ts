/** The address of NATS, and connecting to it. */
import type { RandomSource } from '../../base/system.ts';
import type { TimeProvider } from '../../types.ts';
import { loadNats, type NatsClient } from './client.ts';
import { natsFailure, olderServer } from './failures.ts';
import { probeServers } from './server-probe.ts';
import { NatsLink } from './link.ts';

export type Target =
  | { readonly connection: NatsClient }
  /** Host and port of each server, and further options of `connect()` of the package. */
  | { readonly hosts: readonly string[]; readonly connect: { readonly tls?: unknown } };

export interface OpenLinkOptions {
  readonly time: TimeProvider;
  readonly random: RandomSource;
  readonly connectMs: number;
}

/** A lost connection is tried again after this time plus a random part of the jitter. */
const RECONNECT_MS = 20;
const RECONNECT_JITTER_MS = 30;
/** A connection is given up after two unanswered pings. */
const PING_MS = 2_000;
const OLDEST = [2, 9] as const;

export async function openLink(target: Target, { time, random, connectMs }: OpenLinkOptions): Promise<NatsLink> {
  const nats = await loadNats();
  if ('connection' in target) {
    const { connection } = target;
    const where = `NATS at ${connection.getServer()}`;
    checkVersion(where, connection);
    return new NatsLink(connection, { where, nats, time, random });
  }
  const { hosts, connect: more } = target;
  const where = `NATS at ${hosts.join(', ')}`;
  const { handshakeFirst = false } = (more.tls ?? {}) as { readonly handshakeFirst?: boolean };
  const connect = async (): Promise<NatsClient> => {
    // With `handshakeFirst` a server sends nothing before the client does.
    if (!handshakeFirst) await probeServers(hosts, time, connectMs);
    return nats.connect({
      name: 'sojourn',
      noAsyncTraces: true,
      pingInterval: PING_MS,
      ...more,
      servers: [...hosts],
      timeout: Math.ceil(connectMs),
      reconnect: true,
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true,
      reconnectTimeWait: RECONNECT_MS,
      reconnectJitter: RECONNECT_JITTER_MS,
      reconnectJitterTLS: RECONNECT_JITTER_MS,
    });
  };
  let client: NatsClient;
  try {
    client = await connect();
  } catch (error) {
    throw natsFailure(where, error);
  }
  try {
    checkVersion(where, client);
  } catch (error) {
    await client.close();
    throw error;
  }
  return new NatsLink(client, { where, nats, time, random, connect });
}

function checkVersion(where: string, { info }: NatsClient): void {
  const version = info?.version ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) throw olderServer(where, version);
}
