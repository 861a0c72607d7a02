/**
 * `once()` with two instances: what a repeated call gets. In both eras on the memory store; on a server, whose leases
 * take their time, in one.
 */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../../src/index.ts';
import { nothingDone } from '../../../src/durable/once/index.ts';
import type { JsonRpcAnswer, RawClient } from '../../kit/raw-client.ts';
import { textOf } from '../../kit/lab.ts';
import { inMatrix } from '../../kit/matrix.ts';
import { storeKinds, useSharedStores } from '../../kit/shared-stores.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { cut, gate, mend } from '../../kit/watched-store.ts';
import { eraNames, eras, type Once, openPay, type Order, type Run, USER } from './pay.ts';

useSharedStores();

const ORDER: Order = { id: 'o-1', cents: 500 };
/** The same key, and other arguments. */
const OTHER: Order = { ...ORDER, cents: 9 };
const lost = (reason: string) => ({ data: { reason, mayHaveRun: true } });
const CONFLICT = { data: { reason: 'once_conflict' } };

/** How a run ends. */
interface Ending {
  readonly name: string;
  readonly options?: McpEndpointOptions;
  end(run: Run): void;
  /** What the client of the run reads. */
  readonly reads: string;
}

const replayed = (text: string) => ({ content: [{ text }], _meta: { 'sojourn/replayed': true } });

/** `same`: what a call with the same key and arguments gets afterwards. */
const KEPT: Array<Ending & { readonly same: object }> = [
  {
    name: 'a result with isError',
    end: (run) => run.answer('no funds', true),
    reads: 'no funds',
    same: { result: { ...replayed('no funds'), isError: true } },
  },
  {
    name: 'a throw',
    end: (run) => run.fail(new Error('broken')),
    reads: 'broken',
    same: { result: { content: [{ text: 'broken' }], isError: true } },
  },
  {
    name: 'a result that is too large',
    end: (run) => run.answer('x'.repeat(300_000)),
    reads: 'x'.repeat(300_000),
    same: { error: lost('result_not_kept') },
  },
  {
    name: 'a throw after its time limit',
    options: { limits: { callTimeoutMs: 1_000 } },
    end: () => {},
    reads: 'call_timeout',
    same: { error: lost('once_aborted') },
  },
];

const FORGOTTEN: readonly Ending[] = [
  {
    name: 'nothingDone()',
    end: (run) => run.fail(nothingDone(new Error('too early'))),
    reads: 'too early',
  },
  { name: 'a question to its client', end: (run) => run.ask(), reads: 'Sure?' },
];

describe.each(storeKinds)('on the store %s', (kind) => {
  describe.each(kind === 'memory' ? eraNames : inMatrix(eraNames, eraNames.slice(0, 1)))(
    'in %s',
    (eraName) => {
      const era = eras[eraName];

      /** Two instances, and clients of one user. */
      async function open(given: Once = {}, options: McpEndpointOptions = {}, annotations = {}) {
        const fleet = await openPay(given, options, { kind, tool: { annotations } });
        const here = await era.connect(fleet.first.client(USER));
        const there = await era.connect(fleet.second.client(USER));
        return { ...fleet, here, there };
      }

      const pay = (client: RawClient, args: object = ORDER) => era.call(client, args);

      /** On a busy machine a time limit for the run may end this call, too: then it is made again. */
      async function payInTime(client: RawClient, args: object = ORDER): Promise<JsonRpcAnswer> {
        const answer = await pay(client, args);
        const timedOut =
          (answer.error?.data as { reason?: string } | undefined)?.reason === 'call_timeout';
        return timedOut ? payInTime(client, args) : answer;
      }

      test('a call at another instance gets the outcome of the run, and afterwards the recorded one', async () => {
        const { here, there, ran, runs } = await open();
        const [one, other] = [pay(here), ran(0).then(() => pay(there))];
        const run = await ran(0);
        expect((await pay(there, OTHER)).error).toMatchObject(CONFLICT);
        run.answer('paid');
        expect(textOf(await one)).toBe('paid');
        const waited = await other;
        expect(waited.error, JSON.stringify(waited)).toBeUndefined();
        expect(waited.result).toMatchObject({
          content: [{ text: 'paid' }],
          _meta: { 'sojourn/replayed': true },
        });
        await expect.poll(async () => textOf(await pay(there))).toBe('paid');
        expect((await pay(here, OTHER)).error).toMatchObject(CONFLICT);
        expect(runs.length).toBe(1);
      });

      test('after a crash the outcome is unknown, and stays so', async () => {
        const { here, there, ran, runs, lose } = await open();
        const call = await era.post(here, ORDER);
        await ran(0);
        await lose();
        for (let n = 0; n < 2; n++)
          expect((await pay(there)).error).toMatchObject(lost('owner_lost'));
        expect((await pay(there, OTHER)).error).toMatchObject(CONFLICT);
        expect(runs.length).toBe(1);
        call.abort();
      });

      const again: Array<[string, Once, object]> = [
        ['afterCrash says so', { afterCrash: 'run' }, {}],
        ['its tool is idempotent', {}, { idempotentHint: true }],
        ['its tool reads only', {}, { readOnlyHint: true }],
        ['the application says so', { afterCrash: async () => 'run' as const }, {}],
      ];
      test.each(again)('after a crash it runs again where %s', async (_, given, annotations) => {
        const { here, there, ran, runs, lose } = await open(given, {}, annotations);
        await era.post(here, ORDER);
        await ran(0);
        await lose();
        const again = pay(there);
        (await ran(1)).answer('again');
        expect(textOf(await again)).toBe('again');
        expect((await pay(there)).result).toMatchObject({ content: [{ text: 'again' }] });
        expect(runs.map(({ who }) => who)).toEqual(['first', 'second']);
      });

      test.each(again)(
        'it runs three times at most where %s: then its outcome is unknown',
        async (_, given, annotations) => {
          const { first, second, member, ran, runs, lose } = await open(given, {}, annotations);
          const members = [first, second, await member('third')];
          for (const [n, one] of members.entries()) {
            await era.post(await era.connect(one.client(USER)), ORDER);
            await ran(n);
            await lose(one);
          }
          const last = await era.connect((await member('fourth')).client(USER));
          for (let n = 0; n < 2; n++)
            expect((await pay(last)).error).toMatchObject(lost('owner_lost'));
          expect(runs.length).toBe(3);
        },
      );

      test('after a crash the application may know the result, or not, and is asked again where it failed', async () => {
        const told: Array<() => unknown> = [
          () => {
            throw new Error('the bank is away');
          },
          () => said('found'),
          () => 'fail',
        ];
        const { here, there, ran, runs, lose } = await open({
          afterCrash: async () => told.shift()?.() as never,
        });
        await era.post(here, ORDER);
        await era.post(here, { ...ORDER, id: 'o-2' });
        await ran(1);
        await lose();
        expect((await pay(there)).result).toMatchObject({
          isError: true,
          content: [{ text: 'the bank is away' }],
        });
        expect(textOf(await pay(there))).toBe('found');
        expect((await pay(there)).result).toMatchObject({ content: [{ text: 'found' }] });
        expect((await pay(there, { ...ORDER, id: 'o-2' })).error).toMatchObject(lost('owner_lost'));
        expect(runs.length).toBe(2);
      });

      test('after a crash an application that never answers is asked again, hookTimeoutMs later', async () => {
        let asked = 0;
        const afterCrash = () => (++asked === 1 ? new Promise<never>(() => {}) : said('found'));
        const { here, there, ran, lose } = await open(
          { afterCrash: afterCrash as never },
          { hookTimeoutMs: 300 },
        );
        await era.post(here, ORDER);
        await ran(0);
        await lose();
        const first = (await pay(there)).result;
        expect(first).toMatchObject({
          isError: true,
          content: [{ text: expect.stringContaining('hookTimeoutMs') }],
        });
        expect(textOf(await pay(there))).toBe('found');
      });

      describe('a run that ended with', () => {
        test.each(KEPT)('$name does not run again', async ({ name, options, end, reads, same }) => {
          const { here, there, ran, runs } = await open({}, options);
          const first = await era.post(here, ORDER);
          end(await ran(0));
          await until(() => first.body.includes(reads), { what: name });
          for (const client of [there, here]) {
            expect(await payInTime(client)).toMatchObject(same);
            expect((await payInTime(client, OTHER)).error).toMatchObject(CONFLICT);
          }
          expect(runs[0]?.signal.aborted).toBe(reads === 'call_timeout');
          expect(runs.length).toBe(1);
        });

        test.each(FORGOTTEN)(
          '$name runs again, also with other arguments',
          async ({ name, end, reads }) => {
            const { here, there, ran } = await open();
            for (const [n, args] of [ORDER, OTHER].entries()) {
              const id = `o-${n}`;
              const first = await era.post(here, { ...ORDER, id });
              end(await ran(2 * n));
              await until(() => first.body.includes(reads), { what: name });
              const again = pay(there, { ...args, id });
              (await ran(2 * n + 1)).answer('paid');
              const answer = await again;
              expect(textOf(answer)).toBe('paid');
              expect(answer.result).not.toHaveProperty(['_meta', 'sojourn/replayed']);
              first.abort();
            }
          },
        );
      });

      test.each(FORGOTTEN)(
        'a run that ended with $name is answered once its key may run again',
        async ({ end, reads }) => {
          const { store, here, there, ran } = await open();
          const ends = gate();
          store.before['once.end'] = ends.hook;
          const first = await era.post(here, ORDER);
          end(await ran(0));
          await until(() => ends.waiting === 1, { what: 'its end at the store' });
          const other = pay(here, { ...ORDER, id: 'o-2' });
          (await ran(1)).answer('paid');
          expect(textOf(await other)).toBe('paid');
          expect(first.body).not.toContain(reads);
          ends.open();
          await until(() => first.body.includes(reads), { what: 'its answer' });
          const again = pay(there, OTHER);
          (await ran(2)).answer('paid');
          expect(textOf(await again)).toBe('paid');
          first.abort();
        },
      );

      test('where the store stays away, a run with nothing done is answered after maxWaitMs', async () => {
        const { store, here, ran, runs } = await open({}, { maxWaitMs: 1_000 });
        cut(store, 'once.end');
        const call = pay(here);
        (await ran(0)).fail(nothingDone(new Error('too early')));
        expect((await call).result).toMatchObject({
          content: [{ text: 'too early' }],
          isError: true,
        });
        mend(store, 'once.end');
        const again = pay(here);
        (await ran(1)).answer('paid');
        expect(textOf(await again)).toBe('paid');
        expect(runs.length).toBe(2);
      });

      test('a drain waits for it, and a close aborts it', async () => {
        const { first, here, there, ran, runs } = await open();
        const call = await era.post(here, ORDER);
        await ran(0);
        call.abort();
        await first.endpoint.drain({ timeoutMs: 50 });
        expect(runs[0]?.signal.aborted).toBe(true);
        expect(JSON.stringify(await pay(there))).toContain('"once_aborted"');
        expect(runs.length).toBe(1);
      });

      test('the store is away at the marker: the call is refused, and no handler has run', async () => {
        const { store, here, ran, runs } = await open({}, { maxWaitMs: 1_000 });
        cut(store, 'once.create');
        expect((await pay(here)).error).toMatchObject({ data: { reason: 'store_unavailable' } });
        mend(store, 'once.create');
        const call = pay(here);
        (await ran(0)).answer('paid');
        expect(textOf(await call)).toBe('paid');
        expect(runs.length).toBe(1);
      });

      test('the store is away at the end, and then the instance dies: the outcome is unknown, and stays so', async () => {
        const { store, here, there, ran, runs, lose } = await open();
        const call = pay(here);
        const run = await ran(0);
        cut(store, 'once.end');
        run.answer('paid');
        expect(textOf(await call)).toBe('paid');
        const waiting = pay(there);
        await lose();
        expect((await waiting).error).toMatchObject(lost('owner_lost'));
        mend(store, 'once.end');
        const ends = (): number => store.calls.filter(({ call: one }) => one === 'once.end').length;
        const tries = ends();
        await until(() => ends() > tries, { what: 'another try of the end' });
        expect((await pay(there)).error).toMatchObject(lost('owner_lost'));
        expect((await pay(there, OTHER)).error).toMatchObject(CONFLICT);
        expect(runs.length).toBe(1);
      });
    },
  );
});
