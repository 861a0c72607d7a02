import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, test } from 'vitest';
import type { OpenStore } from '../../src/stores/store.ts';
import { until } from '../kit/until.ts';
import { newPath, openView, recordOf } from './sqlite-views.ts';

const INSTANCE = join(import.meta.dirname, 'processes/sqlite-instance.mjs');
const OPENS = join(import.meta.dirname, 'processes/sqlite-opens.mjs');

const started: ChildProcess[] = [];

afterEach(async () => {
  for (const child of started.splice(0)) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
});

interface Instance {
  readonly process: ChildProcess;
  readonly lines: string[];
}

async function startInstance(path: string, id: string, leaseMs = 1_000): Promise<Instance> {
  const child = spawn(process.execPath, [INSTANCE, path, id, String(leaseMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  started.push(child);
  const lines: string[] = [];
  createInterface(child.stdout).on('line', (line) => lines.push(line));
  await until(() => lines[0] === 'ready', { timeoutMs: 10_000 });
  return { process: child, lines };
}

async function kill({ process: child }: Instance): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** What the relay does on suspicion: a burial, if the lease is still as it was. */
async function buryIfSuspect(view: OpenStore, id: string): Promise<boolean> {
  const lease = await view.instances.read(id);
  if (lease === undefined || (await view.instances.send('me', id, { kind: 'probe' })) !== 'suspect') return false;
  return view.instances.bury(lease);
}

const sockets = (path: string): string[] => readdirSync(dirname(path)).filter((name) => name.endsWith('.sock'));

describe('instances in processes of their own', () => {
  test('see each other and write to each other', async () => {
    const path = newPath();
    const view = await openView(path);
    const answers: string[] = [];
    await view.instances.announce({ id: 'me', state: 'serving', version: '1' }, (from) => answers.push(from));
    await Promise.all(['a', 'b'].map((id) => startInstance(path, id)));
    expect((await view.instances.list()).map(({ id }) => id)).toEqual(['a', 'b', 'me']);
    for (const id of ['a', 'b'])
      expect(await view.instances.send('me', id, { kind: 'call', answer: true })).toBe('sent');
    await until(() => answers.length === 2);
    await view.instances.publish('me', { kind: 'event', answer: true });
    await until(() => answers.length === 4);
    expect(answers.toSorted()).toEqual(['a', 'a', 'b', 'b']);
  });

  test('one that was killed is suspect, can be buried long before its lease ends, and its sessions be claimed', async () => {
    const path = newPath();
    const view = await openView(path);
    const instance = await startInstance(path, 'a', 600_000);
    expect(await view.instances.send('me', 'a', { kind: 'call' })).toBe('sent');
    await until(() => instance.lines.length === 2);
    await kill(instance);
    expect(await view.sessions.claim('session-of-a', 1, 'me')).toMatchObject({ claimed: false });
    await until(() => buryIfSuspect(view, 'a'));
    expect(await view.sessions.claim('session-of-a', 1, 'me')).toMatchObject({ claimed: true });
    expect(sockets(path)).toEqual([]);
  });

  test('one that stands still is not suspect; it is dead when its lease has run out, and stays dead when it wakes', async () => {
    const path = newPath();
    const view = await openView(path);
    const instance = await startInstance(path, 'a', 400);
    instance.process.kill('SIGSTOP');
    expect(await view.instances.send('me', 'a', { kind: 'call' })).toBe('sent');
    expect(await view.sessions.claim('session-of-a', 1, 'me')).toMatchObject({ claimed: false });
    await until(async () => (await view.instances.read('a')) === undefined);
    expect(await view.sessions.claim('session-of-a', 1, 'me')).toMatchObject({ claimed: true });
    instance.process.kill('SIGCONT');
    await until(() => instance.lines.includes('dead'));
  });

  test('one that reads nothing is written to until it is stuck, and then it is refused', async () => {
    const path = newPath();
    const view = await openView(path);
    const instance = await startInstance(path, 'a', 600_000);
    instance.process.kill('SIGSTOP');
    const body = 'x'.repeat(10_000_000);
    const send = async (): Promise<unknown> => view.instances.send('me', 'a', { kind: 'call', body });
    await expect(
      (async () => {
        for (let n = 0; n < 12; n++) await send();
      })(),
    ).rejects.toMatchObject({
      code: 'STORE_AWAY',
      message: expect.stringMatching(/a has not read \d+ bytes/) as string,
    });
  });

  test('sockets of those who were killed are removed by whoever comes next', async () => {
    const path = newPath();
    const instances = await Promise.all(['a', 'b'].map((id) => startInstance(path, id, 300)));
    for (const instance of instances) await kill(instance);
    expect(sockets(path)).toHaveLength(2);
    const view = await openView(path);
    await until(async () => (await view.instances.list()).length === 0);
    await view.instances.announce({ id: 'me', state: 'serving', version: '1' }, () => undefined);
    await until(() => sockets(path).length === 1);
  });
});

test('processes that open a new file at once all open it', async () => {
  const path = newPath();
  const outputs = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const child = spawn(process.execPath, [OPENS, path], { stdio: ['ignore', 'pipe', 'inherit'] });
      started.push(child);
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      await once(child, 'close');
      return output;
    }),
  );
  expect(outputs).toEqual(['opened\n', 'opened\n', 'opened\n', 'opened\n']);
  const view = await openView(path);
  expect(await view.sessions.create(recordOf('s'))).toBe('created');
});
