/** `sojourn serve --store sqlite:…`, killed and started again on the same file. */
import { describe, expect, test } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import { until } from '../kit/until.ts';
import { clientOf, count, deployment, kill, textOf } from './deployment.ts';

/** A call that will not be answered: the event id of its priming event. */
async function hang(client: RawClient, name: string): Promise<string> {
  const stream = await client.post({ jsonrpc: '2.0', id: `${name}-1`, method: 'tools/call', params: { name } });
  const { id } = await stream.next();
  if (id === undefined) throw new Error('no priming event');
  return id;
}

const LEASE_MS = 1_000;

describe('a process on SQLite', () => {
  test('that is killed and started again continues all of its sessions, their state exact', async () => {
    const { start } = deployment();
    const first = await start();
    const clients = Array.from({ length: 50 }, () => clientOf(first.url));
    for (const [n, client] of clients.entries()) {
      await client.initialize();
      for (let calls = 0; calls <= n % 3; calls++) expect(await count(client)).toBe(`${calls + 1} restored false`);
    }
    await kill(first.cli);
    const second = await start();
    for (const [n, client] of clients.entries()) {
      expect(await count(clientOf(second.url, client))).toBe(`${(n % 3) + 2} restored true`);
    }
  });

  test('that is killed while calls run ends what may have run and runs again what may', async () => {
    const { start, happened } = deployment();
    const first = await start();
    const client = clientOf(first.url);
    await client.initialize({ protocolVersion: '2025-11-25' });
    await client.call('tools/list');
    const [paid, looked] = [await hang(client, 'pay'), await hang(client, 'look')];
    await until(() => happened().length === 2, { what: 'both calls to run' });
    await kill(first.cli);
    const second = await start({ ANSWERS: 'yes' });
    const again = clientOf(second.url, client);
    const ends = await again.get({ headers: { 'last-event-id': paid } });
    const [lost] = (await ends.untilEnd()).filter(({ data }) => data !== undefined && data !== '');
    expect(JSON.parse(lost?.data ?? '')).toMatchObject({
      id: 'pay-1',
      error: { data: { reason: 'owner_lost', mayHaveRun: true } },
    });
    const runs = await again.get({ headers: { 'last-event-id': looked } });
    const [done] = (await runs.untilEnd()).filter(({ data }) => data !== undefined && data !== '');
    expect(textOf(JSON.parse(done?.data ?? ''))).toBe('look done');
    expect(happened().toSorted()).toEqual(['look', 'look', 'pay']);
  });

  test('that is frozen past its lease takes it again under a new id, and its sessions go on with what they were doing', async () => {
    const { start, happened } = deployment();
    const { cli, url } = await start({ SOJOURN_LEASE_MS: String(LEASE_MS) });
    const client = clientOf(url);
    await client.initialize({ protocolVersion: '2025-11-25' });
    expect(await count(client)).toBe('1 restored false');
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
    expect(await count(client)).toBe('2 restored false');
    expect(happened()).toEqual([]);
  });
});
