import { EventEmitter } from 'node:events';
import { describe, expect, test } from 'vitest';
import { untilStopped } from '../../src/cli/shutdown.ts';

function stoppable() {
  const signals = new EventEmitter();
  const told: string[] = [];
  const clock = { now: 0 };
  const drain = { resolve: () => {}, reject: (_error: Error) => {} };
  const drained = new Promise<void>((resolve, reject) => Object.assign(drain, { resolve, reject }));
  const logger = { error: (_fields: object, text: string) => void told.push(text) };
  const server = {
    finish: (signal: string) => {
      told.push(`finish ${signal}`);
      return drained;
    },
    interrupted: (signal: string) => void told.push(`interrupted ${signal}`),
  };
  const code = untilStopped(signals, logger, server, () => clock.now);
  return { signals, told, clock, drain, code };
}

describe('stopping', () => {
  test('one Ctrl+C that arrives twice is one; the next is the second', async () => {
    const { signals, told, clock, code } = stoppable();
    signals.emit('SIGINT');
    clock.now = 20;
    signals.emit('SIGINT');
    expect(told).toEqual(['finish SIGINT']);
    clock.now = 200;
    signals.emit('SIGINT');
    expect(await code).toBe(1);
    expect(told).toEqual(['finish SIGINT', 'interrupted SIGINT']);
  });

  test('a drain that fails is a failure, and says why', async () => {
    const { signals, told, drain, code } = stoppable();
    signals.emit('SIGINT');
    drain.reject(new Error('store away'));
    expect(await code).toBe(1);
    expect(told).toEqual(['finish SIGINT', 'the shutdown failed: store away']);
  });
});
