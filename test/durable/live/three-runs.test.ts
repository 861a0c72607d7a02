/** A call of `live()` that ends each process that it runs in, with a client that resumes its stream. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MOST_RUNS } from '../../../src/session/inbound/retries.ts';
import { startNode } from '../../kit/child-process.ts';
import { textOf } from '../../kit/lab.ts';
import { callModern } from '../../kit/modern.ts';
import { openV1 } from '../../kit/official-client.ts';
import { RawClient } from '../../kit/raw-client.ts';
import { sharedTarget, useSharedStores } from '../../kit/shared-stores.ts';
import { temporaryFolder } from '../../kit/temporary.ts';

useSharedStores();

const SERVER = join(import.meta.dirname, 'processes/live-server.mjs');
const PATIENCE_MS = 60_000;

test(
  'a call begins three times, at the owner of its session and elsewhere, and then its client reads why',
  async () => {
    const [target, file] = [sharedTarget('sqlite'), join(temporaryFolder(), 'notes')];
    writeFileSync(file, '');
    const urls: Array<string | undefined> = [undefined, undefined];
    let [deaths, isOver] = [0, false];
    /** Starts an instance, and another one when that is dead. */
    const keep = async (slot: number): Promise<void> => {
      const { closed, says } = startNode([SERVER, 'sqlite', target, file]);
      urls[slot] = await says(/^url (.*)$/m);
      void closed.then(() => {
        urls[slot] = undefined;
        deaths += 1;
        if (!isOver) void keep(slot);
      });
    };
    await Promise.all([keep(0), keep(1)]);
    const [atObject, atClient] = urls as [string, string];
    const raw = new RawClient(atObject);
    const made = await callModern(raw, 'tools/call', {
      name: 'peek',
      arguments: { call: 'made', ms: 0 },
    });
    raw.close();
    const { id: thing } = JSON.parse(textOf(made.message) ?? '') as { id: string };

    const client = await openV1(atClient, {
      route: () => urls.findLast((url) => url !== undefined) ?? atClient,
      reconnection: {
        initialReconnectionDelay: 100,
        maxReconnectionDelay: 500,
        reconnectionDelayGrowFactor: 1.5,
        maxRetries: 100,
      },
    });
    await client.client.listTools();
    const called = client.callTool(
      'deadly',
      { thing, call: 'own', ms: 100 },
      { timeout: PATIENCE_MS },
    );
    await expect(called).rejects.toThrow(`began ${MOST_RUNS} times`);
    const begun = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line === 'began own');
    expect([begun.length, deaths]).toEqual([MOST_RUNS, MOST_RUNS]);
    isOver = true;
    await client.close();
  },
  2 * PATIENCE_MS,
);
