import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import { takeWorkerRole, type OwnProcess } from '../../src/cli/worker-role.ts';

function workerSelf(env: NodeJS.ProcessEnv = { SOJOURN_WORKER: '2 again' }) {
  const events = new EventEmitter();
  const exits: number[] = [];
  const told: unknown[] = [];
  const self: OwnProcess = {
    env,
    connected: true,
    on: (event, listener) => events.on(event, listener),
    send: (message) => told.push(message),
    exit: (code) => void exits.push(code),
  };
  return { self, events, exits, told };
}

/** A worker that serves: how often it is asked to stop. */
function serving() {
  const worker = workerSelf();
  const role = takeWorkerRole(worker.self);
  let asked = 0;
  role?.signals.on('SIGTERM', () => (asked += 1));
  return { ...worker, asked: () => asked };
}

const order = { sojourn: 'drain' };

describe('a worker', () => {
  test('learns its number and how it starts, and removes both from the environment', () => {
    const { self, told } = workerSelf();
    const role = takeWorkerRole(self);
    expect([role?.number, role?.start]).toEqual([2, 'again']);
    expect(self.env).toEqual({});
    role?.report({ sojourn: 'leaving' });
    expect(told).toEqual([{ sojourn: 'leaving' }]);
  });

  test.each(['', '0 first', 'x first'])('is none with %j', (SOJOURN_WORKER) => {
    expect(takeWorkerRole(workerSelf({ SOJOURN_WORKER }).self)).toBeUndefined();
  });

  test('is none without the variable', () => {
    expect(takeWorkerRole(workerSelf({}).self)).toBeUndefined();
  });

  test('is none without a supervisor', () => {
    expect(takeWorkerRole({ ...workerSelf().self, send: undefined })).toBeUndefined();
  });

  test.each([
    ['its supervisor asks', 'message', order],
    ['its supervisor is gone', 'disconnect', undefined],
    ['it gets SIGTERM', 'SIGTERM', undefined],
  ] as const)('stops when %s', (_what, event, message) => {
    const { events, asked, exits } = serving();
    events.emit(event, message);
    expect([asked(), exits]).toEqual([1, []]);
  });

  test('is asked once, however many ask', () => {
    const { events, asked } = serving();
    events.emit('message', order);
    events.emit('message', order);
    events.emit('SIGTERM');
    events.emit('disconnect');
    expect(asked()).toBe(1);
  });

  test('ends at once at the second SIGTERM', () => {
    const { events, asked } = serving();
    events.emit('SIGTERM');
    events.emit('SIGTERM');
    expect(asked()).toBe(2);
  });

  test('takes no notice of what a terminal sends, nor of what others say on its channel', () => {
    const { events, asked, exits } = serving();
    for (const signal of ['SIGINT', 'SIGHUP']) expect(events.emit(signal)).toBe(true);
    for (const message of [{ type: 'dependency', path: '/a.ts' }, 'drain', null]) events.emit('message', message);
    expect([asked(), exits]).toEqual([0, []]);
  });

  test('that does not serve yet ends', () => {
    const { self, events, exits } = workerSelf();
    takeWorkerRole(self);
    events.emit('disconnect');
    expect(exits).toEqual([1]);
  });

  test('whose supervisor was gone before it began ends', () => {
    const { self, exits } = workerSelf();
    takeWorkerRole({ ...self, connected: false });
    expect(exits).toEqual([1]);
  });
});
