/** Removes every key of a scratch prefix. */
import { requireScratch, SCRATCH_LIMIT_MS, SCRATCH_OPTIONS } from '../shared/scratch.ts';
import type { Reply } from './client.ts';
import { openServer, type Target } from './target.ts';

/** Keys that the server looks at in one step. */
const STEP = '1000';

/** Only where one server has all keys: a URL never leads to a Cluster. */
export async function removePrefix(target: Target, prefix: string): Promise<void> {
  requireScratch(prefix);
  const server = await openServer(target, { ...SCRATCH_OPTIONS, prefix, limitMs: () => SCRATCH_LIMIT_MS });
  try {
    // Also where there is none: it shows that this user may.
    await server.send(prefix, ['UNLINK', `${prefix}:none`]);
    let cursor = '0';
    do {
      const reply = (await server.send(prefix, ['SCAN', cursor, 'MATCH', `${prefix}:*`, 'COUNT', STEP])) as readonly [
        Reply,
        readonly string[],
      ];
      cursor = String(reply[0]);
      if (reply[1].length > 0) await server.send(prefix, ['UNLINK', ...reply[1]]);
    } while (cursor !== '0');
  } finally {
    await server.close();
  }
}
