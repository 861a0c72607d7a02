/** The parent of `sojourn serve` is killed: its worker leaves the port to the next start, and its calls end. */
import { describe, expect, test } from 'vitest';
import { freePort } from '../kit/free-port.ts';
import { until } from '../kit/until.ts';
import { say } from '../kit/lab.ts';
import { openClient } from '../kit/listening.ts';
import { isAlive, startWorkers } from './workers-process.ts';

describe.skipIf(process.platform === 'win32')(
  'a worker whose parent was killed (a Unix system)',
  () => {
    test(
      'leaves the port at once to the next start, with calls under way; its sessions continue',
      { timeout: 120_000 },
      async () => {
        const count = 2;
        const flags = ['--port', String(await freePort())];
        let workers = startWorkers({ workers: count, flags });
        const url = await workers.url();
        const { folder } = workers;
        const client = openClient(url);
        await client.initialize();
        const before = workers;
        // Longer than a start takes.
        const slow = say(openClient(url, { of: client, timeoutMs: 60_000 }), 'slow', { ms: 4_000 });
        await until(() => before.output.stderr.includes('slow began'), { what: 'the call to run' });
        before.kill('SIGKILL');
        workers = startWorkers({ workers: count, folder, flags });
        expect(await workers.url()).toBe(url);
        const fresh = openClient(url, { of: client });
        expect(await say(fresh, 'count')).toBe('1');
        expect(await slow).toMatch(/^done /);
        await until(() => !before.all().some(isAlive), { what: 'the orphans to end' });
        workers.kill('SIGTERM');
        expect(await workers.ended()).toMatchObject({ code: 0 });
      },
    );
  },
);
