// @module-tag matrix
/** A disk that does not answer: its flushes do not end. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { connectV2 } from '../clients/official.ts';
import { startNode } from '../kit/child-process.ts';
import { noStalls, stalledDisk } from '../kit/stalled-disk.ts';
import { until } from '../kit/until.ts';
import { newFolder } from './sqlite-views.ts';

const server = fileURLToPath(new URL('processes/stalled-server.mjs', import.meta.url));

/** 20 answers of this size fill the log. */
const LARGE = 200_000;

describe.skipIf(noStalls !== undefined)(
  `a disk whose flushes do not end${noStalls === undefined ? '' : ` (${noStalls})`}`,
  { timeout: 180_000 },
  () => {
    async function serving() {
      const folder = newFolder();
      const disk = stalledDisk(folder);
      const { child, output, closed, alive } = startNode([server, join(folder, 'sessions.db')], {
        env: disk.env,
      });
      const printed = (): string | undefined => /^http:\S+/m.exec(output.stdout)?.[0];
      await until(() => printed() !== undefined, {
        timeoutMs: 60_000,
        what: 'the server to listen',
      });
      const url = printed() ?? '';
      const client = await connectV2(url);
      let calls = 0;
      const call = async (bytes: number): Promise<void> => {
        calls += 1;
        const text = await client.say('count', { bytes }, { timeout: 30_000 });
        expect(text).toBe(`${calls} ${'x'.repeat(bytes)}`);
      };
      const opened = disk.flushes().length;
      /** Calls until the log is full and `then` is true. */
      const callUntil = async (then: () => boolean): Promise<void> => {
        for (let n = 0; !then() && n < 1_000; n++) await call(LARGE);
        expect(then()).toBe(true);
      };
      return {
        child,
        output,
        closed,
        alive,
        disk,
        url,
        call,
        callUntil,
        flushes: () => disk.flushes().slice(opened),
      };
    }

    // A copy of the log is part of a commit, on the event loop.
    test('blocks the process while the log is copied; then it takes a new lease, and each call has run once', async () => {
      const { output, disk, url, call, callUntil, flushes } = await serving();
      disk.stall();
      let over = false;
      const calls = callUntil(() => over);
      await until(() => flushes().length > 0, { timeoutMs: 60_000 });
      const health = fetch(new URL('/healthz', url), { signal: AbortSignal.timeout(2_000) });
      await expect(health).rejects.toThrow(/timeout/);
      disk.release();
      await until(async () => (await fetch(new URL('/readyz', url))).ok, {
        timeoutMs: 60_000,
        what: 'a lease',
      });
      over = true;
      await calls;
      await call(1);
      expect(output.stdout).not.toContain('cannot be written');
    });

    test('an endpoint closes when its disk answers', async () => {
      const { child, closed, disk, call, flushes } = await serving();
      await call(LARGE);
      disk.stall();
      child.kill('SIGTERM');
      await until(() => flushes().length > 0, { timeoutMs: 60_000 });
      disk.release();
      expect(await closed).toEqual([0, null]);
    });
  },
);
