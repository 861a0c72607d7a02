/**
 * How the nodes of a Cluster are reached. node-redis has no public member for the configuration of a Cluster client.
 * Where a version keeps it elsewhere, a copy of the client connects, and its connections tell.
 */
import { memberMoved } from '../../base/moved-member.ts';
import type { Address, ClusterClient, ClusterOptions } from './client.ts';
import { Deadlines } from '../shared/deadlines.ts';
import { CONNECT_MS, type LinkSettings } from './link.ts';
import type { ServerCheck } from './server-check.ts';

const LOST = 'a node that joins later is reached at the address that it announces, and nodeAddressMap is not asked';

export async function clusterOptions(
  given: ClusterClient,
  settings: LinkSettings,
  { where, logger }: ServerCheck,
): Promise<ClusterOptions> {
  if (given._options !== undefined) return given._options;
  memberMoved(logger, 'node-redis', '_options', LOST);
  const copy = given.duplicate();
  // Failures are reported by `connect`.
  copy.on('error', () => undefined);
  try {
    await new Deadlines(settings.time, CONNECT_MS).answered(where, copy.connect());
    const { masters } = copy;
    const clients = await Promise.all(masters.map(async (node) => copy.nodeClient(node)));
    const [defaults] = clients.map(({ options }) => options);
    const reached = clients.map(({ options }) => options.socket as Address).map(({ host, port }) => ({ host, port }));
    return {
      defaults,
      RESP: defaults?.RESP,
      rootNodes: reached.map((socket) => ({ socket })),
      nodeAddressMap: Object.fromEntries(masters.map(({ address }, n) => [address, reached[n] as Address])),
    };
  } finally {
    copy.destroy();
  }
}
