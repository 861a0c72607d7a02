import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { withShortPath } from '../../src/stores/sqlite/socket-paths.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { createLog } from '../kit/log.ts';
import { until } from '../kit/until.ts';
import { announce, newFolder, newPath, openView } from './sqlite-views.ts';

const ON_WINDOWS = process.platform === 'win32';

const sockets = (path: string): string[] =>
  readdirSync(dirname(path)).filter((name) => name.endsWith('.sock'));

/** In a folder of its own. */
function pathOf(length: number): string {
  let folder = newFolder();
  while (folder.length + 200 < length) folder = join(folder, 'f'.repeat(150));
  mkdirSync(folder, { recursive: true });
  return join(folder, 'n'.repeat(Math.max(1, length - folder.length - 1)));
}

/** The socket of the only instance. */
const socketOf = (path: string): string => join(dirname(path), sockets(path)[0] ?? '');

describe.skipIf(ON_WINDOWS)('the socket of an instance', () => {
  test('is beside the database, is readable by its owner only, and is removed when the instance leaves or was dead before', async () => {
    const path = newPath();
    const view = await openView(path);
    await announce(view, 'a');
    expect(sockets(path)).toEqual([expect.stringMatching(/^sessions\.db-[\w-]{8}\.sock$/)]);
    expect(statSync(socketOf(path)).mode & 0o777).toBe(0o600);
    await view.instances.leave('a');
    expect(sockets(path)).toEqual([]);
    await expect(announce(view, 'a')).rejects.toThrow('Internal error');
    expect(sockets(path)).toEqual([]);
  });

  test('that crashed is removed by the instance that took its place, once its lease is over', async () => {
    const path = newPath();
    const time = createFakeTime();
    const [one, two] = [
      await openView(path, { time, leaseMs: 3_000 }),
      await openView(path, { time, leaseMs: 3_000 }),
    ];
    await announce(one, 'crashes');
    await announce(two, 'follows');
    expect(sockets(path)).toHaveLength(2);
    for (let n = 0; n < 4; n++) {
      await time.advance(1_000);
      await two.instances.renew('follows', 'serving');
    }
    await until(() => sockets(path).length === 1);
  });

  test.each([60, 100, 200, 480])(
    'is reached beside a database whose path has %i bytes',
    async (length) => {
      const path = pathOf(length);
      const log = createLog();
      const [here, there] = [
        await openView(path, { logger: log }),
        await openView(path, { logger: log }),
      ];
      const inbox = await announce(here, 'a');
      const back = await announce(there, 'b');
      expect(await there.instances.send('b', 'a', { kind: 'n', n: 1 })).toBe('sent');
      expect(await here.instances.send('a', 'b', { kind: 'n', n: 2 })).toBe('sent');
      await until(() => inbox.messages.length === 1 && back.messages.length === 1);
      expect(sockets(path)).toHaveLength(2);
      expect(statSync(socketOf(path)).mode & 0o777).toBe(0o600);
      rmSync(socketOf(path));
      expect([
        await here.instances.renew('a', 'serving'),
        await there.instances.renew('b', 'serving'),
      ]).toEqual([true, true]);
      expect([sockets(path).length, log.matching(/socket .* was removed/, 'warn').length]).toEqual([
        2, 1,
      ]);
      await here.instances.leave('a');
      await there.instances.leave('b');
      expect(sockets(path)).toEqual([]);
    },
  );

  test('has a short name for one call where the system shows no open folders, and nothing is left of it', async () => {
    const path = join(dirname(pathOf(300)), 'own.sock');
    const names: string[] = [];
    const through = <T>(use: (short: string) => T): T =>
      withShortPath(path, (short) => (names.push(short), use(short)), '/nowhere');
    const server = createServer((connection) => connection.end('hello'));
    await new Promise<void>((listens) => through((short) => server.listen(short, listens)));
    const said = await new Promise((done) => through((short) => connect(short).once('data', done)));
    expect([String(said), sockets(path)]).toEqual(['hello', ['own.sock']]);
    expect(() =>
      through(() => {
        throw new Error('refused');
      }),
    ).toThrow('refused');
    expect(new Set(names).size).toBe(3);
    expect(
      names.filter((name) => existsSync(dirname(dirname(name))) && existsSync(dirname(name))),
    ).toEqual([]);
    await new Promise((closed) => server.close(closed));
  });

  test('whose file was deleted is not suspect, and is opened again with the next renewal', async () => {
    const path = newPath();
    const log = createLog();
    const [here, there] = [
      await openView(path, { logger: log }),
      await openView(path, { logger: log }),
    ];
    const connected = await openView(path);
    const inbox = await announce(here, 'a');
    await connected.instances.send('c', 'a', { kind: 'call' });
    rmSync(socketOf(path));
    expect(await there.instances.send('b', 'a', { kind: 'lost' })).toBe('sent');
    expect(log.matching(/does not listen/, 'warn')).toMatchObject([
      { fields: { instance: 'a', messages: 1 } },
    ]);
    expect(await here.instances.renew('a', 'serving')).toBe(true);
    expect(await there.instances.send('b', 'a', { kind: 'call' })).toBe('sent');
    await connected.instances.send('c', 'a', { kind: 'call' });
    await until(() => inbox.messages.length === 3);
    expect(log.matching(/socket .* was removed/, 'warn')).toHaveLength(1);
  });

  test('of an instance that leaves is there until its lease has ended: no sender warns', async () => {
    const path = newPath();
    const log = createLog();
    const [here, there] = [await openView(path), await openView(path, { logger: log })];
    for (let n = 0; n < 20; n++) {
      const id = `leaving-${n}`;
      await announce(here, id);
      let hasLeft = false;
      const left = here.instances.leave(id).finally(() => (hasLeft = true));
      while (!hasLeft) {
        await there.instances.send('b', id, { kind: 'call' });
        await new Promise(setImmediate);
      }
      await left;
    }
    expect(log.matching(/does not listen/, 'warn')).toEqual([]);
  });

  test('passes garbage on as what is no message, and other messages arrive', async () => {
    const path = newPath();
    const [here, there] = [await openView(path), await openView(path)];
    const inbox = await announce(here, 'a');
    await there.instances.send('b', 'a', { kind: 'n', n: 1 });
    const socket = connect(socketOf(path));
    socket.write('GET / HTTP/1.1\r\n\r\n{a}\n["a",[]]\n[{"toString":1},7]\n\n');
    await until(() => inbox.messages.length === 7);
    await there.instances.send('b', 'a', { kind: 'n', n: 2 });
    await until(() => inbox.messages.length === 8);
    const none = undefined;
    expect(inbox.messages).toEqual([
      { kind: 'n', n: 1 },
      none,
      none,
      none,
      [],
      7,
      none,
      { kind: 'n', n: 2 },
    ]);
    await new Promise((closed) => socket.once('close', closed).destroy());
  });
});

describe.skipIf(ON_WINDOWS)('what another program put in the place of a socket', () => {
  const ROOT = process.geteuid?.() === 0;

  test.each<[string, RegExp, boolean, (socket: string, real: string) => void]>([
    ['a symbolic link', /not a socket/, false, (socket, real) => symlinkSync(real, socket)],
    ['a file', /not a socket/, false, (socket) => writeFileSync(socket, '')],
    [
      'a socket that others can write to',
      /other users can write/,
      false,
      (socket, real) => move(real, socket, 0o722),
    ],
    [
      'a socket of another user',
      /another user \(1234\)/,
      true,
      (socket, real) => {
        move(real, socket, 0o600);
        chownSync(socket, 1234, 1234);
      },
    ],
  ])('%s is sent nothing', async (_, why, needsRoot, put) => {
    if (needsRoot && !ROOT) return;
    const path = newPath();
    const [here, there] = [await openView(path), await openView(path)];
    await announce(here, 'a');
    const heard = await listening(join(dirname(path), 'real'));
    const socket = socketOf(path);
    rmSync(socket);
    put(socket, heard.path);
    await expect((async () => there.instances.send('me', 'a', { kind: 'call' }))()).rejects.toThrow(
      why,
    );
    const lease = await there.instances.read('a');
    expect(lease && (await there.instances.bury(lease))).toBe(true);
    if (why.source === 'not a socket')
      expect(readdirSync(dirname(path))).toContain(basename(socket));
    expect(heard.connections()).toBe(0);
    await heard.close();
  });
});

function move(from: string, to: string, mode: number): void {
  renameSync(from, to);
  chmodSync(to, mode);
}

/** A socket that counts what connects to it. */
async function listening(path: string) {
  let connections = 0;
  const server = createServer((connection) => {
    connections += 1;
    connection.destroy();
  });
  await new Promise<void>((done) => server.listen(path, done));
  return {
    path,
    connections: () => connections,
    close: () => new Promise((done) => server.close(done)),
  };
}
