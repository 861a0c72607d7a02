// @module-tag matrix
/** What sessions have of several workers: any of them serves any session, and none takes a session with it. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { connectV1, connectV2, sessionClients, type OfficialClient } from '../clients/official.ts';
import { until } from '../kit/until.ts';
import { ownConnections } from '../clients/own-connections.ts';
import { heldSocket } from './held-socket.ts';
import {
  instanceOf,
  isAlive,
  pinnedTo,
  say,
  startWorkers,
  temporaryFolder,
  textOf,
  type Workers,
} from './workers-process.ts';

const CLIENTS = 6;
const PATIENT_MS = 60_000;
/** Between two calls of a client. Calls without a pause take the CPU with which a worker starts. */
const CALL_PAUSE_MS = 5;
/**
 * A client that has the head of a response and loses its connection before it has looked at the first event cannot come
 * back for the rest, and reports it nowhere: where workers are killed, its call ends with this timeout.
 */
const CALL_MS = 5_000;
/** Kills, drains and restarts of a test; `SOJOURN_ROUNDS=50` is a longer look. */
const ROUNDS = Number(process.env['SOJOURN_ROUNDS'] ?? 2);
const LONG = { timeout: 90_000 + 20_000 * ROUNDS };

/** Calls one after the other until it is stopped. `patience.ms`: how long a call waits for its answer. */
function caller(client: OfficialClient, patience: { ms: number }) {
  let answered = 0;
  let failed = 0;
  let counted = 0;
  const failures: string[] = [];
  const wrong: string[] = [];
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      const before = counted;
      try {
        counted = Number(await client.say('count', {}, { timeout: patience.ms }));
        answered += 1;
        // A call that failed may have counted, or not.
        if (counted <= before || counted > answered + failed) wrong.push(`${before} → ${counted}, ${failed} failed`);
      } catch (error) {
        failed += 1;
        wrong.push(...(/404|not found/i.test(String(error)) ? [String(error)] : []));
        failures.push(String((error as Error).cause ?? error));
      }
      await new Promise((next) => setTimeout(next, CALL_PAUSE_MS));
    }
  })();
  onTestFinished(() => {
    stopped = true;
  });
  return {
    failures,
    wrong,
    get answered() {
      return answered;
    },
    stop: async () => {
      stopped = true;
      await done;
    },
  };
}

type Caller = ReturnType<typeof caller>;

/** Clients of both lines that call all the time. */
async function underLoad(workers: Pick<Workers, 'url'>, patience = { ms: PATIENT_MS }): Promise<Caller[]> {
  const url = await workers.url();
  const clients = [];
  for (let n = 0; n < CLIENTS; n++)
    clients.push(await (n % 2 === 0 ? connectV1 : connectV2)(url, { fetch: await ownConnections() }));
  return clients.map((client) => caller(client, patience));
}

/** Until every client got some more answers. */
async function goOn(callers: readonly Caller[]): Promise<void> {
  const before = callers.map(({ answered }) => answered);
  await until(() => callers.every(({ answered }, n) => answered > (before[n] ?? 0) + 2), {
    timeoutMs: 20_000,
    what: 'every client to go on',
  });
}

const failuresOf = (callers: readonly Caller[]): string[] => callers.flatMap(({ failures }) => failures);
const wrongOf = (callers: readonly Caller[]): string[] => callers.flatMap(({ wrong }) => wrong);

describe.skipIf(process.platform === 'win32')('a session of several workers (they need a Unix system)', () => {
  test('is served by each of them: its calls, its GET stream and its answers, by its owner', LONG, async () => {
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
      expect(textOf((await call.nextMessage()) as object)).toBe(`Ada ${one}`);
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
  });

  test(
    'loses no call while workers drain and are replaced, and its state stays exact when they are killed',
    LONG,
    async () => {
      const workers = startWorkers();
      const patience = { ms: PATIENT_MS };
      const callers = await underLoad(workers, patience);
      /** Signals each worker in turn. */
      const signalled = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
        for (let round = 0; round < ROUNDS; round++) {
          await goOn(callers);
          const number = 1 + (round % 2);
          const pid = workers.pid(number);
          process.kill(pid, signal);
          await workers.replaced(number, pid);
          await until(() => !isAlive(pid), { timeoutMs: 20_000, what: 'it to end' });
        }
        await goOn(callers);
      };
      await signalled('SIGTERM');
      workers.kill('SIGHUP');
      await until(() => workers.lines().some(({ msg }) => msg === 'rolling restart done'), {
        timeoutMs: 30_000,
        what: 'the roll',
      });
      await goOn(callers);
      expect([failuresOf(callers), wrongOf(callers)]).toEqual([[], []]);
      patience.ms = CALL_MS;
      await signalled('SIGKILL');
      await Promise.all(callers.map(({ stop }) => stop()));
      expect(wrongOf(callers)).toEqual([]);
      expect(workers.all()).toHaveLength(2 + ROUNDS + 2 + ROUNDS);
    },
  );

  test('no call fails while all of it restarts behind a socket that is held', LONG, async () => {
    const { fd } = heldSocket();
    const folder = temporaryFolder();
    let workers = startWorkers({ fd, folder });
    const callers = await underLoad(workers);
    for (let restarts = 0; restarts < ROUNDS; restarts++) {
      await goOn(callers);
      workers.kill('SIGTERM');
      expect(await workers.ended()).toMatchObject({ code: 0 });
      workers = startWorkers({ fd, folder });
    }
    await goOn(callers);
    await Promise.all(callers.map(({ stop }) => stop()));
    expect([failuresOf(callers), wrongOf(callers)]).toEqual([[], []]);
  });
});
