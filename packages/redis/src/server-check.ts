/** Checks each new command connection: whether the server can serve this store, and how it is configured. */
import { storeAway, storeRefused, type Logger } from 'sojourn/store-kit';
import type { RedisClient } from './client.ts';
import { replyCode } from './failures.ts';

const OLDEST = [6, 2] as const;

/** `isCluster`: the client finds the nodes of a Cluster. */
export function serverCheck(logger: Logger, isCluster: boolean) {
  let evictionWarned = false;
  return async (client: RedisClient, where: string): Promise<void> => {
    let info: string;
    try {
      info = String(await client.sendCommand(['INFO']));
    } catch (error) {
      // This user may not run INFO: the store skips the checks.
      if (replyCode(error) === 'NOPERM') return;
      throw error;
    }
    const policy = checkInfo(info, where, logger, isCluster);
    // The store's keys have no expiry, and the volatile policies drop keys with one.
    if (policy === 'noeviction' || policy.startsWith('volatile-') || evictionWarned) return;
    evictionWarned = true;
    logger.warn(
      { where, policy },
      'This Redis drops sessions and leases when its memory is full: set maxmemory-policy to noeviction',
    );
  };
}

/** INFO tells of appends alone: the setting of snapshots asks for rights that the store does not need. */
const onDisk = (appends: boolean): string =>
  appends
    ? 'This Redis keeps its data on disk (appendonly)'
    : 'This Redis appends nothing to disk: when it restarts, it loses all that came after its last snapshot. Set appendonly to yes';

/** Answers what the server does when its memory is full. */
function checkInfo(info: string, where: string, logger: Logger, isCluster: boolean): string {
  const lines = info.split(/\r?\n/);
  const fact = (name: string): string | undefined =>
    lines.find((line) => line.startsWith(`${name}:`))?.slice(name.length + 1);
  if (fact('loading') === '1') throw storeAway(`${where} has just started and is reading its data`);
  const version = fact('redis_version') ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (version !== '' && (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])))
    throw storeRefused(`${where} is Redis ${version}; version ${OLDEST.join('.')} or later is needed`);
  // A replica in a Cluster names its primary.
  if (!isCluster && fact('role') === 'slave') throw storeAway(`${where} is a replica: its primary is needed`);
  // Valkey calls it `server_mode`.
  const mode = fact('redis_mode') ?? fact('server_mode');
  if (!isCluster && mode === 'cluster')
    throw storeRefused(`${where} is a node of a Cluster; give the store a client made by createCluster`);
  // `sojourn doctor` reads this line.
  const appends = fact('aof_enabled') === '1';
  logger.debug({ where, losesData: !appends }, onDisk(appends));
  return fact('maxmemory_policy') ?? 'noeviction';
}
