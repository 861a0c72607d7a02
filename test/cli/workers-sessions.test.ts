// @module-tag matrix
/** A session of several workers: any of them serves it. What becomes of one when a worker ends: `held-port.test.ts`. */
import { describe, expect, test } from 'vitest';
import { sessionClients } from '../clients/official.ts';
import { say, textOf } from '../kit/lab.ts';
import { instanceOf, pinnedTo, startWorkers } from './workers-process.ts';

describe.skipIf(process.platform === 'win32')('a session of several workers (they need a Unix system)', () => {
  test(
    'is served by each of them: its calls, its GET stream and its answers, by its owner',
    { timeout: 90_000 },
    async () => {
      const workers = startWorkers();
      await workers.url();
      const [one, two] = [workers.pid(1), workers.pid(2)];
      const here = await pinnedTo(workers, one);
      await here.initialize({ capabilities: { elicitation: { form: {} } } });
      const there = await pinnedTo(workers, two, here);
      expect(await instanceOf(there)).not.toBe(await instanceOf(here));
      for (let calls = 1; calls <= 4; calls += 2) {
        expect(await say(here, 'count')).toBe(String(calls));
        expect(await say(there, 'count')).toBe(String(calls + 1));
      }
      // Its GET stream is on one worker while it calls another.
      const stream = await (await pinnedTo(workers, two, here)).get();
      expect(stream.status).toBe(200);
      for (const client of [here, there]) {
        expect(await say(client, 'ring')).toBe(String(one));
        expect(await stream.nextMessage()).toMatchObject({
          method: 'notifications/message',
          params: { data: 'ringing' },
        });
      }
      // It answers on one worker what it was asked on another.
      for (const [asked, answers] of [
        [here, there],
        [there, here],
      ] as const) {
        const id = `${asked === here}`;
        const call = await asked.post({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'ask' } });
        const question = (await call.nextMessage()) as { id: string; method: string };
        expect(question.method).toBe('elicitation/create');
        const result = { action: 'accept', content: { name: 'Ada' } };
        expect((await answers.post({ jsonrpc: '2.0', id: question.id, result })).status).toBe(202);
        expect(textOf(await call.nextMessage())).toBe(`Ada ${one}`);
      }
      expect((await there.delete()).status).toBe(200);
      expect((await here.post({ jsonrpc: '2.0', id: 'late', method: 'ping' })).status).toBe(404);

      // Official clients count right, whichever worker is asked.
      const url = await workers.url();
      const all = Array.from({ length: 20 }, (_, n) => n + 1);
      await Promise.all(
        sessionClients.map(async ([line, connect]) => {
          const client = await connect(url);
          const said = await Promise.all(all.map(() => client.say('count')));
          expect([line, said.map(Number).toSorted((a, b) => a - b)]).toEqual([line, all]);
          await client.terminate();
        }),
      );
    },
  );
});
