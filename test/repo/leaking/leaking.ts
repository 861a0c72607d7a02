import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, test } from 'vitest';

/** `leaks.test.ts` runs this file in a separate Vitest: its test passes, and the file must fail. */
test('leaves a server, a socket, a timer and a child process', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  setInterval(() => {}, 1_000);
  spawn(process.execPath, ['-e', 'process.stdin.resume()']);
  expect(server.listening).toBe(true);
});
