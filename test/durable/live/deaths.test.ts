/** Live objects that die by themselves at any moment, while processes are killed and drained. */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startNode } from '../../kit/child-process.ts';
import { textOf } from '../../kit/lab.ts';
import { inMatrix, isMatrix } from '../../kit/matrix.ts';
import { callModern } from '../../kit/modern.ts';
import { RawClient } from '../../kit/raw-client.ts';
import {
  durableKinds,
  sharedTarget,
  type StoreKind,
  useSharedStores,
} from '../../kit/shared-stores.ts';
import { temporaryFolder } from '../../kit/temporary.ts';

useSharedStores();

const SERVER = join(import.meta.dirname, 'processes/live-server.mjs');
const KILLS = isMatrix ? 24 : 4;
const HANDLES = 6;
const CLIENTS = 8;
const PATIENCE_MS = 30_000;
/** No process is frozen here: a lease that lapses on a slow machine would show two objects. */
const LEASE_MS = 10_000;
const ONE_IN = 6;

const pause = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms));

test.each(inMatrix<StoreKind>(durableKinds, ['sqlite']))(
  'on %s, two objects of a handle are never open, and the next call opens a dead one again',
  async (kind) => {
    const [target, file] = [sharedTarget(kind), join(temporaryFolder(), 'notes')];
    writeFileSync(file, '');
    const start = async () => {
      const args = [SERVER, kind, target, file, String(LEASE_MS), String(ONE_IN)];
      const { child, closed, says } = startNode(args);
      return { child, closed, url: await says(/^url (.*)$/m) };
    };
    const instances = [await start(), await start()];
    let [calls, answered, kills] = [0, 0, 0];
    const failures = new Map<string, number>();
    const ask = async (thing?: string): Promise<string | undefined> => {
      const args = {
        ...(thing !== undefined && { thing }),
        call: `${(calls += 1)}`,
        ms: calls % 40,
      };
      const client = new RawClient(String(instances[calls % 2]?.url), { timeoutMs: PATIENCE_MS });
      try {
        const { message } = await callModern(client, 'tools/call', {
          name: 'peek',
          arguments: args,
        });
        const text = textOf(message);
        if (text === undefined || message.result?.['isError'] === true) throw new Error(text);
        answered += 1;
        return (JSON.parse(text) as { id: string }).id;
      } catch (cause) {
        expect(String(cause)).not.toContain(`${PATIENCE_MS}`);
        const why = String(cause).replaceAll(/\d+/g, '#');
        failures.set(why, (failures.get(why) ?? 0) + 1);
        await pause(20);
        return undefined;
      } finally {
        client.close();
      }
    };
    const handles: string[] = [];
    while (handles.length < HANDLES) handles.push(...[await ask()].flatMap((id) => id ?? []));
    const clients = Array.from({ length: CLIENTS }, async (_, n) => {
      for (let k = n; kills < KILLS; k += 5) await ask(handles[k % HANDLES]);
    });
    while (kills < KILLS) {
      await pause(400 + ((kills * 137) % 500));
      const { child, closed } = instances[kills % 2] as (typeof instances)[0];
      const isKill = kills % 3 !== 2;
      if (isKill) appendFileSync(file, `gone ${child.pid}\n`);
      child.kill(isKill ? 'SIGKILL' : 'SIGTERM');
      await closed;
      appendFileSync(file, `gone ${child.pid}\n`);
      instances[kills % 2] = await start();
      kills += 1;
    }
    await Promise.all(clients);
    for (const handle of handles) expect(await ask(handle)).toBe(handle);

    /** By handle: its object, if its process lives. */
    const open = new Map<string, string>();
    let [opened, died] = [0, 0];
    const twice: string[] = [];
    for (const [what, one = '', name = ''] of readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.split(' '))) {
      if (what === 'died') died += 1;
      if (what === 'closed' || what === 'gone')
        for (const [handle, object] of open)
          if (object === one || (what === 'gone' && object.startsWith(`${one}.`)))
            open.delete(handle);
      // The first open of a handle does not know its id.
      if (what !== 'opened' || one === '-') continue;
      opened += 1;
      const before = open.get(one);
      if (before !== undefined) twice.push(`${one}: ${name} beside ${before}`);
      open.set(one, name);
    }
    expect(twice).toEqual([]);
    const figures = `${kills} kills, ${opened} opened, ${died} died, ${answered} answers`;
    expect([died > KILLS, opened > died / 2, answered > died], figures).toEqual([true, true, true]);
    // A call never meets an object that has moved away under it.
    expect([...failures.keys()].filter((why) => why.includes('live()'))).toEqual([]);
    if (isMatrix) console.log(`${kind}: ${figures}`, failures);
  },
  isMatrix ? 300_000 : 90_000,
);
