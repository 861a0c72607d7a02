import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Libsql from 'libsql';
import { describe, expect, test } from 'vitest';
import type { InstanceMessage } from '../../src/stores/store.ts';
import type { View } from '../store-contract/view.ts';
import { PREAMBLE, encodeFrame } from '../../src/stores/sqlite/mailbox-frames.ts';
import { createLog } from '../kit/log.ts';
import { until } from '../kit/until.ts';
import { changeStored, newFolder, newPath, openView, stored } from './sqlite-views.ts';

const ON_WINDOWS = process.platform === 'win32';

interface Inbox {
  readonly from: string[];
  readonly messages: InstanceMessage[];
}

async function announce(view: View, id: string): Promise<Inbox> {
  const inbox: Inbox = { from: [], messages: [] };
  await view.instances.announce({ id, state: 'serving', version: '1' }, (from, message) => {
    inbox.from.push(from);
    inbox.messages.push(message);
  });
  return inbox;
}

/** The mailbox address in the lease. */
function addressOf(path: string, id: string): string {
  const address = String(stored(new Libsql(path), id, 'owner'));
  return address.includes('/') ? address : join(dirname(path), address);
}

const sockets = (path: string): string[] => readdirSync(dirname(path)).filter((name) => name.endsWith('.sock'));

describe.skipIf(ON_WINDOWS)('the socket of an instance', () => {
  test('is beside the database, is readable by its owner only, and is removed when the instance leaves', async () => {
    const path = newPath();
    const view = await openView(path);
    await announce(view, 'a');
    expect(sockets(path)).toHaveLength(1);
    expect(addressOf(path, 'a')).toMatch(/\/sessions\.db-[\w-]{8}\.sock$/);
    expect(statSync(addressOf(path, 'a')).mode & 0o777).toBe(0o600);
    await view.instances.leave('a');
    expect(sockets(path)).toEqual([]);
  });

  test('is in a separate folder if the path of the database is too long', async () => {
    const folder = join(newFolder(), 'long'.repeat(30));
    mkdirSync(folder);
    const path = join(folder, 'sessions.db');
    const [here, there] = [await openView(path), await openView(path)];
    const inbox = await announce(here, 'a');
    const address = addressOf(path, 'a');
    expect(address.startsWith(join(tmpdir(), 'sojourn-'))).toBe(true);
    expect(Buffer.byteLength(address)).toBeLessThanOrEqual(100);
    expect(statSync(dirname(address)).mode & 0o777).toBe(0o700);
    expect(await there.instances.send('b', 'a', { kind: 'call' })).toBe('sent');
    await until(() => inbox.messages.length === 1);
    await here.close();
    expect(existsSync(dirname(address))).toBe(false);
  });

  test('whose file was deleted is opened again with the next renewal, and messages arrive', async () => {
    const path = newPath();
    const log = createLog();
    const [here, there] = [await openView(path, { logger: log }), await openView(path)];
    const connected = await openView(path);
    const inbox = await announce(here, 'a');
    await connected.instances.send('c', 'a', { kind: 'call' });
    rmSync(addressOf(path, 'a'));
    const sending = there.instances.send('b', 'a', { kind: 'call' });
    expect(await here.instances.renew('a', 'serving')).toBe(true);
    expect(await sending).toBe('sent');
    await connected.instances.send('c', 'a', { kind: 'call' });
    await until(() => inbox.messages.length === 3);
    expect(log.matching(/socket .* was removed/, 'warn')).toHaveLength(1);
  });

  test('whose file stays deleted is never suspect; sent messages are lost and logged', async () => {
    const path = newPath();
    const log = createLog();
    const [here, there] = [await openView(path), await openView(path, { logger: log })];
    await announce(here, 'a');
    rmSync(addressOf(path, 'a'));
    expect(await there.instances.send('b', 'a', { kind: 'call' })).toBe('sent');
    expect(log.matching(/does not listen/, 'warn')).toMatchObject([{ fields: { instance: 'a', messages: 1 } }]);
  });

  test('closes a connection that sends garbage, and the other connections still work', async () => {
    const path = newPath();
    const log = createLog();
    const [here, there] = [await openView(path, { logger: log }), await openView(path)];
    const inbox = await announce(here, 'a');
    await there.instances.send('b', 'a', { kind: 'n', n: 1 });
    const garbage = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.concat([PREAMBLE, Buffer.from([0xff, 0xff, 0xff, 0xff])]),
      Buffer.concat([PREAMBLE, Buffer.from([0, 0, 0, 3]), Buffer.from('{a}')]),
      Buffer.concat([PREAMBLE, Buffer.from([0, 0, 0, 8]), Buffer.from('["a",[]]')]),
    ];
    for (const bytes of garbage) {
      const socket = connect(addressOf(path, 'a'));
      socket.on('error', () => undefined);
      socket.write(bytes);
      socket.resume();
      await new Promise((closed) => socket.once('close', closed));
    }
    await there.instances.send('b', 'a', { kind: 'n', n: 2 });
    await until(() => inbox.messages.length === 2);
    expect(log.matching(/not a message/, 'warn')).toHaveLength(garbage.length);
  });

  test('reads frames from chunks of any size', async () => {
    const path = newPath();
    const inbox = await announce(await openView(path), 'a');
    const messages = [1, 2, 3].map((n) => ({ kind: 'n', n, text: '🧪'.repeat(n) }));
    const bytes = Buffer.concat([PREAMBLE, ...messages.map((message) => encodeFrame('b', message))]);
    const socket = connect(addressOf(path, 'a'));
    for (const byte of bytes) {
      await new Promise((written) => socket.write(Buffer.of(byte), written));
    }
    await until(() => inbox.messages.length === 3);
    expect(inbox.messages).toEqual(messages);
    await new Promise((closed) => socket.once('close', closed).destroy());
  });
});

describe('messages', () => {
  test('of many megabytes arrive whole and in order', async () => {
    const path = newPath();
    const [here, there] = [await openView(path), await openView(path)];
    const inbox = await announce(here, 'a');
    const body = 'é🧪'.repeat(1_500_000);
    for (let n = 0; n < 3; n++) expect(await there.instances.send('b', 'a', { kind: 'call', n, body })).toBe('sent');
    await until(() => inbox.messages.length === 3);
    expect(inbox.messages.map(({ n }) => n)).toEqual([0, 1, 2]);
    expect(inbox.messages.every((message) => message['body'] === body)).toBe(true);
  });

  test('that a receiver throws on are logged, and the next message is delivered', async () => {
    const log = createLog();
    const view = await openView(newPath(), { logger: log });
    const received: unknown[] = [];
    await view.instances.announce({ id: 'a', state: 'serving', version: '1' }, (_, { n }) => {
      if (n === 1) throw new Error('cannot take it');
      received.push(n);
    });
    for (const n of [1, 2]) await view.instances.send('a', 'a', { kind: 'n', n });
    await until(() => received.length === 1);
    expect(received).toEqual([2]);
    expect(log.matching(/could not be received/, 'error')).toMatchObject([{ fields: { from: 'a', kind: 'n' } }]);
  });

  test('to an instance that left after an earlier message are suspect', async () => {
    const path = newPath();
    const [here, there] = [await openView(path), await openView(path)];
    const inbox = await announce(here, 'a');
    await there.instances.send('b', 'a', { kind: 'n', n: 1 });
    await until(() => inbox.messages.length === 1);
    await here.instances.leave('a');
    await until(async () => (await there.instances.send('b', 'a', { kind: 'n', n: 2 })) === 'suspect');
    expect(inbox.messages).toHaveLength(1);
  });

  test('never reach a buried instance, even if its process still runs', async () => {
    const path = newPath();
    const [here, there] = [await openView(path), await openView(path)];
    const inbox = await announce(here, 'a');
    const lease = await there.instances.read('a');
    expect(lease && (await there.instances.bury(lease))).toBe(true);
    expect(await there.instances.send('b', 'a', { kind: 'n' })).toBe('suspect');
    expect(await here.instances.renew('a', 'serving')).toBe(false);
    expect(inbox.messages).toEqual([]);
    expect(sockets(path)).toEqual([]);
  });

  test('from one of several instances of a process name the sender', async () => {
    const path = newPath();
    const [here, there] = [await openView(path), await openView(path)];
    const inbox = await announce(here, 'a');
    for (const from of ['b', 'c', 'b']) await there.instances.send(from, 'a', { kind: 'n' });
    await until(() => inbox.messages.length === 3);
    expect(inbox.from).toEqual(['b', 'c', 'b']);
  });
});

describe.skipIf(ON_WINDOWS)('a lease that another program wrote', () => {
  const ROOT = process.geteuid?.() === 0;

  /** A view, and a lease of the instance `a` with this address. */
  const leased = async (path: string, address: string) => {
    const view = await openView(path);
    await announce(view, 'me');
    await announce(view, 'a');
    const database = new Libsql(path);
    changeStored(database, 'a', { owner: address });
    database.close();
    const send = async (): Promise<unknown> => view.instances.send('me', 'a', { kind: 'call' });
    return { view, send };
  };
  /** A socket that counts what connects to it. */
  const listening = async (socket: string) => {
    const heard = { connections: 0 };
    const server = createServer((connection) => {
      heard.connections += 1;
      connection.destroy();
    });
    await new Promise<void>((done) => server.listen(socket, done));
    return { heard, server, close: () => new Promise((done) => server.close(done)) };
  };

  test('with a mailbox elsewhere: nothing is connected to, and no file is removed', async () => {
    const folder = newFolder();
    const secret = join(folder, 'secret.txt');
    const foreign = await listening(join(folder, 'docker.sock'));
    const path = join(folder, 'data', 'sessions.db');
    mkdirSync(dirname(path));
    writeFileSync(join(dirname(path), 'beside.txt'), 'x');
    const inside = join(dirname(path), 'sojourn-abcdef');
    mkdirSync(inside);
    for (const address of [
      join(folder, 'docker.sock'),
      '../docker.sock',
      'docker.sock',
      'sessions.db',
      'beside.txt',
      'sessions.db-../../doc.sock',
      `${folder}/sojourn-abcdef/../docker.sock`,
      `${inside}/../../docker.sock`,
      '/run/docker.sock',
      'http://example.com/',
      '',
      secret,
    ]) {
      writeFileSync(secret, 'x');
      const { view, send } = await leased(path, address);
      await expect(send(), address).rejects.toThrow(/another program wrote it/);
      const lease = await view.instances.read('a');
      expect(lease && (await view.instances.bury(lease)), address).toBe(true);
      await view.close();
      // Its id is used again in the next round.
      const database = new Libsql(path);
      database.exec('DELETE FROM rows');
      database.close();
      for (const file of [secret, path, join(folder, 'docker.sock'), join(dirname(path), 'beside.txt')])
        expect(existsSync(file), `${address}: ${file}`).toBe(true);
    }
    expect(foreign.heard.connections).toBe(0);
    await foreign.close();
  });

  test.each<[string, RegExp, (socket: string, folder: string) => void]>([
    ['a symbolic link', /symbolic link/, (socket, folder) => symlinkSync(join(folder, 'real.sock'), socket)],
    ['a file', /not a socket/, (socket) => writeFileSync(socket, '')],
  ])('with %s in the place of its socket: refused, and a bury removes the lease alone', async (_, why, put) => {
    const folder = newFolder();
    const path = join(folder, 'sessions.db');
    const real = await listening(join(folder, 'real.sock'));
    const socket = join(folder, 'sessions.db-AAAAAAAA.sock');
    put(socket, folder);
    const { view, send } = await leased(path, 'sessions.db-AAAAAAAA.sock');
    await expect(send()).rejects.toThrow(why);
    const lease = await view.instances.read('a');
    expect(lease && (await view.instances.bury(lease))).toBe(true);
    expect(readdirSync(folder)).toContain('sessions.db-AAAAAAAA.sock');
    expect(real.heard.connections).toBe(0);
    await real.close();
  });

  test.each<[string, RegExp, boolean, (socket: string) => void]>([
    ['that others can write to', /other users can write/, false, (socket) => chmodSync(socket, 0o722)],
    ['of another user', /another user \(1234\)/, true, (socket) => chownSync(socket, 1234, 1234)],
  ])('with a socket %s: refused', async (_, why, needsRoot, change) => {
    if (needsRoot && !ROOT) return;
    const folder = newFolder();
    const socket = join(folder, 'sessions.db-AAAAAAAA.sock');
    const other = await listening(socket);
    chmodSync(socket, 0o600);
    change(socket);
    const { send } = await leased(join(folder, 'sessions.db'), 'sessions.db-AAAAAAAA.sock');
    await expect(send()).rejects.toThrow(why);
    expect(other.heard.connections).toBe(0);
    await other.close();
  });

  test('with a socket in a folder that others can enter: refused', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'sojourn-'));
    const socket = join(elsewhere, 'AAAAAAAA.sock');
    const other = await listening(socket);
    chmodSync(socket, 0o600);
    chmodSync(elsewhere, 0o755);
    const { send } = await leased(newPath(), socket);
    await expect(send()).rejects.toThrow(/open to other users/);
    expect(other.heard.connections).toBe(0);
    await other.close();
    rmSync(elsewhere, { recursive: true });
  });
});
