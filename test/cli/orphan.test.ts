/** The parent of `sojourn serve` is killed: its worker leaves the port to the next start, and its calls end. */
import { describe, expect, test } from 'vitest';
import { freePort } from '../kit/free-port.ts';
import { until } from '../kit/until.ts';
import { clientOf } from './deployment.ts';
import { isAlive, say, startWorkers } from './workers-process.ts';

describe.skipIf(process.platform === 'win32')('a worker whose parent was killed (a Unix system)', () => {
  test(
    'leaves the port at once to the next start, with calls under way; its sessions continue',
    { timeout: 120_000 },
    async () => {
      const count = 2;
      const flags = ['--port', String(await freePort())];
      let workers = startWorkers({ workers: count, flags });
      const url = await workers.url();
      await until(() => workers.all().length === count, { timeoutMs: 30_000, what: 'every worker' });
      const { folder } = workers;
      const client = clientOf(url, undefined, { timeoutMs: 30_000 });
      await client.initialize();
      const before = workers;
      // Longer than a start takes.
      const slow = say(clientOf(url, client, { timeoutMs: 60_000 }), 'slow', { ms: 4_000 });
      await until(() => before.output.stderr.includes('slow began'), { timeoutMs: 20_000, what: 'the call to run' });
      before.kill('SIGKILL');
      workers = startWorkers({ workers: count, folder, flags });
      expect(await workers.url()).toBe(url);
      const fresh = clientOf(url, client, { timeoutMs: 30_000 });
      // The id of the call that still runs is taken.
      const counts = { jsonrpc: '2.0', id: 'count', method: 'tools/call', params: { name: 'count' } };
      const counted = await (await fresh.post(counts)).nextMessage();
      expect(counted).toMatchObject({ result: { content: [{ text: '1' }] } });
      expect(await slow).toMatch(/^done /);
      await until(() => !before.all().some(isAlive), { timeoutMs: 40_000, what: 'the orphans to end' });
      workers.kill('SIGTERM');
      expect(await workers.ended()).toMatchObject({ code: 0 });
    },
  );
});
