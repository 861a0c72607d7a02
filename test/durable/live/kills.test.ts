/** Live objects while processes are killed, stopped and drained, with clients of both eras. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MOST_RUNS } from '../../../src/session/inbound/retries.ts';
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
const ANSWERS = isMatrix ? 2_000 : 150;
const CLIENTS = isMatrix ? 30 : 8;
const HANDLES = isMatrix ? 20 : 4;
const PATIENCE_MS = 20_000;

const pause = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms));

interface Answer {
  readonly call: string;
  readonly id: string;
  readonly object: string;
  readonly n: number;
}

test.each(inMatrix<StoreKind>(durableKinds, ['sqlite']))(
  'on %s, a call begins once, or as often as its hints let it, and one object of a handle answers',
  async (kind) => {
    const [target, file] = [sharedTarget(kind), join(temporaryFolder(), 'notes')];
    writeFileSync(file, '');
    const start = async () => {
      const { child, closed, says } = startNode([SERVER, kind, target, file]);
      return { child, closed, url: await says(/^url (.*)$/m) };
    };
    const instances = [await start(), await start()];
    const answers: Answer[] = [];
    const handles: string[] = [];
    let [calls, failed, hung, blows, isOver] = [0, 0, 0, 0, false];

    const ask = async (n: number, era: RawClient | undefined): Promise<void> => {
      const call = `${n % 2 === 0 ? 'visit' : 'peek'} ${(calls += 1)}`;
      const thing = handles.length < HANDLES ? undefined : handles[calls % HANDLES];
      const args = { ...(thing && { thing }), call, ms: [0, 5, 60, 400][calls % 4] };
      const params = { name: call.split(' ', 1)[0], arguments: args };
      const url = String(instances[calls % 2]?.url);
      const client = new RawClient(url, { timeoutMs: PATIENCE_MS, of: era });
      try {
        const { message } = await (era === undefined
          ? callModern(client, 'tools/call', params)
          : client.call('tools/call', params));
        const text = textOf(message);
        if (text === undefined || message.result?.['isError'] === true) throw new Error(text);
        const answer = { call, ...(JSON.parse(text) as Omit<Answer, 'call'>) };
        answers.push(answer);
        if (!handles.includes(answer.id)) handles.push(answer.id);
      } catch (cause) {
        failed += 1;
        if (String(cause).includes(`${PATIENCE_MS}`)) hung += 1;
        await pause(20);
      } finally {
        client.close();
      }
    };

    /** Also after its instance was killed. */
    const openSession = async (): Promise<RawClient> => {
      for (let tries = 0; ; tries++) {
        const session = new RawClient(String(instances[tries % 2]?.url));
        const opened = await session.initialize().catch(() => undefined);
        if (opened !== undefined && session.sessionId !== undefined) return session;
        session.close();
        await pause(20);
      }
    };

    const blowing = (async () => {
      while (!isOver) {
        await pause(300 + ((blows * 137) % 500));
        const n = blows % 2;
        const { child, closed } = instances[n] as (typeof instances)[0];
        if (blows % 3 === 1) {
          child.kill('SIGSTOP');
          await pause(1_500);
          child.kill('SIGCONT');
        } else {
          child.kill(blows % 3 === 0 ? 'SIGKILL' : 'SIGTERM');
          await closed;
          instances[n] = await start();
        }
        blows += 1;
      }
    })();
    const live = async (_: unknown, n: number): Promise<void> => {
      const session = n % 2 === 1 ? await openSession() : undefined;
      while (answers.length < ANSWERS) await ask(n, session);
      session?.close();
    };
    await Promise.all(Array.from({ length: CLIENTS }, live));
    isOver = true;
    await blowing;

    const lines = readFileSync(file, 'utf8').trim().split('\n');
    const begun = new Map<string, number>();
    const opened = new Map<string, string>();
    const late = new Set<string>();
    for (const [what = '', ...words] of lines.map((line) => line.split(' '))) {
      if (what === 'began') begun.set(words.join(' '), (begun.get(words.join(' ')) ?? 0) + 1);
      const [handle = '', object = '', ...call] = words;
      if (what === 'open') opened.set(handle, object);
      // Another object of the handle had been used by then. A later run of the call may answer.
      if (what === 'over' && opened.get(handle) !== object) late.add([object, ...call].join(' '));
    }
    const wrong = [...begun].filter(
      ([call, runs]) => runs > (call.startsWith('peek') ? MOST_RUNS : 1),
    );
    expect(wrong).toEqual([]);
    expect(answers.filter(({ object, call }) => late.has(`${object} ${call}`))).toEqual([]);
    const given = answers.map(({ id, n }) => `${id} ${n}`);
    expect(new Set(given).size).toBe(given.length);
    expect([hung, blows > 2, failed < ANSWERS]).toEqual([0, true, true]);
    if (isMatrix)
      console.log(`${kind}: ${blows} blows, ${answers.length} answers, ${failed} failed`);
  },
  isMatrix ? 300_000 : 90_000,
);
