/**
 * `sojourn serve --store sqlite:…`, frozen. Killed and started again on the same file: `test/adopt/sdks.test.ts`. What
 * becomes of its calls: `held-port.test.ts`.
 */
import { describe, expect, test } from 'vitest';
import { until } from '../kit/until.ts';
import { say } from '../kit/lab.ts';
import { openClient } from '../kit/listening.ts';
import { deployment } from './deployment.ts';

const LEASE_MS = 1_000;

describe('a process on SQLite', () => {
  test('that is frozen past its lease takes it again under a new id, and its sessions go on with what they were doing', async () => {
    const { start, happened } = deployment();
    const { cli, url } = await start({ SOJOURN_LEASE_MS: String(LEASE_MS) });
    const client = openClient(url);
    await client.initialize({ protocolVersion: '2025-11-25' });
    expect(await say(client, 'count')).toBe('1 restored false');
    const health = async () =>
      (await fetch(new URL('/readyz', url))).json() as Promise<{ state: string; instance: string }>;
    const { instance } = await health();
    cli.kill('SIGSTOP');
    // The lease runs out on the machine's clock, which nothing here can hurry.
    const frozen = Date.now();
    await until(() => Date.now() > frozen + 1.2 * LEASE_MS, { what: 'the lease to run out' });
    cli.kill('SIGCONT');
    const isBack = async (): Promise<boolean> => {
      const now = await health();
      return now.instance !== instance && now.state === 'serving';
    };
    await until(isBack, { what: 'a new id' });
    // The same copy, not a restored one: what it holds in memory was kept.
    expect(await say(client, 'count')).toBe('2 restored false');
    expect(happened()).toEqual([]);
  });
});
