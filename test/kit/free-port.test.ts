import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from './free-port.ts';

test('each free port is another one, is free, and is none that the system gives to listen(0) or to clients', async () => {
  const ports: number[] = [];
  for (let n = 0; n < 10; n++) ports.push(await freePort());
  expect(new Set(ports).size).toBe(10);
  for (const port of ports) {
    expect(port).toBeLessThan(32_768);
    const server = createServer().listen(port, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
  }
});

test.each(['127.0.0.1', '0.0.0.0'])('a port where something listens at %s is no free port', async (host) => {
  const taken = (await freePort()) + 1;
  const server = createServer().listen(taken, host);
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  expect(await freePort()).not.toBe(taken);
});
