import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, expect, test } from 'vitest';

/** leaks.test.ts runs this file in a separate Vitest: every test passes, and the file must fail. */
const left = process.env['LEAVE_OPEN'];
const closers: Array<() => void> = [];

afterAll(() => {
  if (left === 'nothing') for (const close of closers) close();
});

test('opens a server and a socket', async () => {
  if (left === 'timer' || left === 'child') return;
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  closers.push(() => {
    socket.destroy();
    server.close();
  });
  expect(server.listening).toBe(true);
});

test('opens a timer', () => {
  if (left === 'server' || left === 'child') return;
  const timer = setInterval(() => {}, 1_000);
  closers.push(() => {
    clearInterval(timer);
  });
});

test('starts a child process', () => {
  if (left === 'server' || left === 'timer') return;
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()']);
  closers.push(() => child.kill());
});
