// @module-tag matrix
/** 10,000 sessions that arrive in three ways and are cut without DELETE: no process and no descriptor stays. */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startCli } from '../cli/cli-process.ts';
import { RawClient } from '../kit/raw-client.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';
import { marked, SMALLEST } from './serving.ts';

const MARK = 'TEST_OF_ARRIVALS';
const SESSIONS = Number(process.env['SOJOURN_SESSIONS'] ?? 10_000);
const MOST = 6;
const HALF_HOUR = 1_800_000;

/** How many arrive together, and whether each opens its GET stream. */
const PATTERNS = [
  { name: 'one after the other', together: 1, listens: false },
  { name: 'in bursts of 50', together: 50, listens: false },
  { name: 'in tens, with a GET stream', together: 10, listens: true },
];

const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

test(
  `${SESSIONS} sessions leave nothing`,
  async () => {
    const flags = ['--max-children', `${MOST}`, '--store', 'memory:', '--env', `${MARK}=1`];
    const more = ['--idle-timeout-ms', '5s', '--limits-user-share', '1'];
    const command = ['--', '/bin/sh', SMALLEST];
    const cli = startCli(['stdio', '--port', '0', ...flags, ...more, ...command], {
      cwd: temporaryFolder(),
    });
    const url = await cli.url();
    const pid = cli.parent ?? 0;
    const before = descriptors(pid);
    const visit = async (listens: boolean): Promise<void> => {
      const client = new RawClient(url, { timeoutMs: 60_000 });
      await client.initialize();
      if (listens) await client.get();
      const { message } = await client.call('tools/call', { name: 'here', arguments: {} });
      expect(JSON.stringify(message)).toContain('here');
      client.close();
    };
    for (const { together, listens } of PATTERNS) {
      for (let n = 0; n < SESSIONS / PATTERNS.length; n += together)
        await Promise.all(Array.from({ length: together }, () => visit(listens)));
      expect(marked(MARK, '1').length).toBeLessThanOrEqual(MOST);
    }
    await until(() => descriptors(pid) <= before + 3 * MOST + 10, {
      what: 'descriptors as before',
    });
    cli.kill('SIGTERM');
    expect((await cli.ended()).code).toBe(0);
    await until(() => marked(MARK, '1').length === 0, { what: 'no process of a child' });
  },
  HALF_HOUR,
);
