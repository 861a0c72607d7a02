/** Checks each new command connection: whether the server can serve this store, and how it is configured. */
import { storeUnavailable, storeRefused, type Logger } from 'sojourn/internal';
import type { RedisClient } from './client.ts';
import { replyCode } from './failures.ts';

/** What `INFO` answered, by name. */
export const factsOf = (info: unknown): ReadonlyMap<string, string> =>
  new Map(
    String(info)
      .split(/\r?\n/)
      .map((line) => line.split(':', 2) as [string, string]),
  );

/** INFO tells of appends alone: the setting of snapshots asks for rights that the store does not need. */
const onDisk = (appends: boolean): string =>
  appends
    ? 'This Redis keeps its data on disk (appendonly)'
    : 'This Redis appends nothing to disk: when it restarts, it loses all that came after its last snapshot. Set appendonly to yes';

/** `isCluster`: the client finds the nodes of a Cluster. */
export function serverCheck(logger: Logger, isCluster: boolean) {
  let evictionWarned = false;
  return async (client: RedisClient, where: string): Promise<void> => {
    let facts: ReadonlyMap<string, string>;
    try {
      facts = factsOf(await client.sendCommand(['INFO']));
    } catch (error) {
      // This user may not run INFO: the store skips the checks.
      if (replyCode(error) === 'NOPERM') return;
      throw error;
    }
    if (facts.get('loading') === '1')
      throw storeUnavailable(`${where} has just started and is reading its data`);
    // A replica in a Cluster names its primary.
    if (!isCluster && facts.get('role') === 'slave')
      throw storeUnavailable(`${where} is a replica: its primary is needed`);
    // Valkey calls it `server_mode`.
    if (!isCluster && (facts.get('redis_mode') ?? facts.get('server_mode')) === 'cluster')
      throw storeRefused(
        `${where} is a node of a Cluster; give the store a client made by createCluster`,
      );
    // `sojourn doctor` reads this line.
    const appends = facts.get('aof_enabled') === '1';
    logger.debug({ where, losesData: !appends }, onDisk(appends));
    const policy = facts.get('maxmemory_policy') ?? 'noeviction';
    // The store's keys have no expiry, and the volatile policies drop keys with one.
    if (policy === 'noeviction' || policy.startsWith('volatile-') || evictionWarned) return;
    evictionWarned = true;
    logger.warn(
      { where, policy },
      'This Redis drops sessions and leases when its memory is full: set maxmemory-policy to noeviction',
    );
  };
}
