/** What a handler sends in one turn, at the instance of its object, to a client that is connected to another one. */
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startNode } from '../../kit/child-process.ts';
import { textOf } from '../../kit/lab.ts';
import { inMatrix } from '../../kit/matrix.ts';
import { callModern } from '../../kit/modern.ts';
import { RawClient } from '../../kit/raw-client.ts';
import {
  type DurableKind,
  durableKinds,
  sharedTarget,
  useSharedStores,
} from '../../kit/shared-stores.ts';
import { temporaryFolder } from '../../kit/temporary.ts';

useSharedStores();

const SERVER = join(import.meta.dirname, 'processes/live-server.mjs');
/** 300 MB. */
const MESSAGES = 60_000;
const HEAP = '--max-old-space-size=256';

test.each(inMatrix<DurableKind>(durableKinds, ['sqlite']))(
  'on %s, 60,000 messages of 5 KB in one turn end their call: the process lives, and others are served',
  { timeout: 240_000 },
  async (kind) => {
    const [target, file] = [sharedTarget(kind), join(temporaryFolder(), 'notes')];
    writeFileSync(file, '');
    const start = async () => {
      const { child, says } = startNode([HEAP, SERVER, kind, target, file, '30000']);
      return { child, url: await says(/^url (.*)$/m) };
    };
    const [there, here] = [await start(), await start()];
    const open = async (url: string) => {
      const client = new RawClient(url, { timeoutMs: 120_000 });
      await client.initialize();
      return client;
    };
    const visit = async (client: RawClient, thing?: string) => {
      const args = { call: 'visit', ms: 0, ...(thing !== undefined && { thing }) };
      const { message } = await client.call('tools/call', { name: 'visit', arguments: args });
      return JSON.parse(textOf(message) ?? '') as { id: string; n: number };
    };
    const [witness, one] = [await open(here.url), await open(here.url)];
    const [{ id: thing }, own] = [await visit(await open(there.url)), await visit(witness)];
    const elsewhere = new RawClient(here.url, { timeoutMs: 120_000, of: await open(there.url) });
    const args = { thing, call: 'flood', ms: MESSAGES };
    const [params, meta] = [{ name: 'flood', arguments: args }, { progressToken: 'p' }];
    const ways = {
      'a live object, 2025': () => one.call('tools/call', { ...params, _meta: meta }),
      'a live object, 2026-07-28': () => callModern(one, 'tools/call', params, { meta }),
      'a session': () =>
        elsewhere.call('tools/call', { ...params, name: 'flood_of_session', _meta: meta }),
    };
    for (const [way, call] of Object.entries(ways)) {
      let isOver = false;
      // The client of a session resumes a stream that is cut.
      const flood = call()
        .catch(() => undefined)
        .finally(() => (isOver = true));
      do {
        own.n += 1;
        expect(await visit(witness, own.id)).toMatchObject({ n: own.n });
      } while (!isOver);
      const { response, message } = (await flood) ?? {};
      const got = response?.events.flatMap(({ message: m }) => m?.params?.['progress'] ?? []) ?? [];
      expect(got).toEqual(got.map((_, n) => n));
      if (way !== 'a session')
        expect(message?.error?.data, way).toEqual({ reason: 'messages_cut', mayHaveRun: true });
      expect([there.child.exitCode, here.child.exitCode]).toEqual([null, null]);
      expect(await visit(witness, thing)).toMatchObject({ id: thing });
    }
  },
);
