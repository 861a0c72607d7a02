import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { takeWorkerRole } from '../../src/cli/worker-role.ts';

function workerSelf(env: NodeJS.ProcessEnv = { SOJOURN_WORKER: '2 again' }) {
  // The module listens for uncaught exceptions.
  const events = new EventEmitter().on('error', () => {});
  const exits: number[] = [];
  const told: unknown[] = [];
  const self = Object.assign(events, {
    env,
    connected: true,
    send: (message: unknown) => told.push(message),
    exit: (code: number) => void exits.push(code),
  }) as unknown as NodeJS.Process;
  return { self, events, exits, told };
}

const nextTurn = () => new Promise((done) => setImmediate(done));

const DRAIN = { sojourn: 'drain' };

test('a worker learns its number, how it starts and the made token, and removes them from the environment', () => {
  const { self, told } = workerSelf({ SOJOURN_WORKER: '2 again made' });
  const role = takeWorkerRole(self);
  expect([role?.number, role?.start, role?.dashboardToken, self.env]).toEqual([
    2,
    'again',
    'made',
    {},
  ]);
  role?.leave();
  expect(told).toEqual([{ sojourn: 'leaving' }]);
});

test.each([
  ['with an empty variable', workerSelf({ SOJOURN_WORKER: '' }).self],
  ['with a number that is none', workerSelf({ SOJOURN_WORKER: 'x first' }).self],
  ['without the variable', workerSelf({}).self],
  ['without a supervisor', Object.assign(workerSelf().self, { send: undefined })],
])('a process %s is no worker', (_what, self) => {
  expect(takeWorkerRole(self)).toBeUndefined();
});

/** `asked`: how often a worker that serves is asked to stop. */
test.each<
  [what: string, sent: ReadonlyArray<readonly [event: string, message?: unknown]>, asked: number]
>([
  ['its supervisor asks it to drain', [['message', DRAIN]], 1],
  ['its supervisor is gone', [['disconnect']], 1],
  [
    'its supervisor is gone, which a message of its module met',
    [['error', new Error('EPIPE')], ['disconnect']],
    1,
  ],
  ['it gets SIGTERM', [['SIGTERM']], 1],
  ['all of them happen', [['message', DRAIN], ['message', DRAIN], ['SIGTERM'], ['disconnect']], 1],
  ['it gets a second SIGTERM, and so ends at once', [['SIGTERM'], ['SIGTERM']], 2],
  [
    'a terminal signals every process, and others use its channel',
    [
      ['SIGINT'],
      ['SIGHUP'],
      ['message', { type: 'dependency', path: '/a.ts' }],
      ['message', 'drain'],
      ['message', null],
    ],
    0,
  ],
])('a worker is asked to stop when %s', async (_what, sent, asked) => {
  const { self, events, exits } = workerSelf();
  let stops = 0;
  takeWorkerRole(self)?.signals.on('SIGTERM', () => (stops += 1));
  for (const [event, message] of sent) expect(events.emit(event, message)).toBe(true);
  await nextTurn();
  expect([stops, exits]).toEqual([asked, []]);
});

test.each([true, false])(
  'a worker that does not serve yet ends with its supervisor (connected before: %s)',
  async (connected) => {
    const { self, events, exits } = workerSelf();
    takeWorkerRole(Object.assign(self, { connected }));
    events.emit('disconnect');
    await nextTurn();
    expect(exits).toEqual([1]);
  },
);
