/** The proxy of `sojourn prove` sends requests again as the recipes do. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { Front } from '../../../src/cli/prove/front.ts';
import { freePort } from '../../kit/free-port.ts';

type Answer = (req: IncomingMessage, res: ServerResponse) => unknown;
const ok: Answer = (_, res) => res.end('ok');
const breaks: Answer = (_, res) => res.destroy();

/** Behind it: the instances in turn, from the second on, as the first request finds them. */
async function frontOf(...answers: readonly (Answer | 'refuses')[]) {
  const arrived: IncomingMessage['headers'][] = [];
  const ports = await Promise.all(
    answers.map(async (answer) => {
      if (answer === 'refuses') return freePort();
      const server = createServer((req, res) => {
        arrived.push(req.headers);
        answer(req, res);
      });
      await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
      onTestFinished(() => void server.close());
      return (server.address() as AddressInfo).port;
    }),
  );
  const front = new Front(() => [...ports.slice(-1), ...ports.slice(0, -1)]);
  const url = await front.listen();
  onTestFinished(() => front.close());
  return { url, arrived };
}

const SESSION = { 'mcp-session-id': 'one' };
const post = (headers: Record<string, string>) => ({ method: 'POST', headers, body: '{}' });

test.each([
  ['a POST of a session, by the same id', breaks, post(SESSION), 'ok'],
  ['a list of 2026-07-28', breaks, post({ 'mcp-method': 'tools/list' }), 'ok'],
  ['a read of 2026-07-28', breaks, post({ 'mcp-method': 'resources/read' }), 'ok'],
  ['a GET', breaks, { headers: SESSION }, 'ok'],
  ['any request after a refused connection', 'refuses', post({ 'mcp-method': 'tools/call' }), 'ok'],
  ['no call of 2026-07-28', breaks, post({ 'mcp-method': 'tools/call' }), 502],
  ['no initialize', breaks, post({}), 502],
  ['no DELETE', breaks, { method: 'DELETE', headers: SESSION }, 502],
] as const)('sends again: %s', async (_, first, request, outcome) => {
  const { url, arrived } = await frontOf(first, ok);
  const response = await fetch(url, request);
  expect(response.ok ? await response.text() : response.status).toBe(outcome);
  const ids = arrived.map((headers) => headers['x-request-id']);
  expect(ids).toHaveLength(outcome === 'ok' && first === breaks ? 2 : 1);
  expect(new Set(ids).size).toBe(1);
});

test('replaces the id that a client sends', async () => {
  const { url, arrived } = await frontOf(ok);
  await fetch(url, post({ ...SESSION, 'x-request-id': 'of-the-client' }));
  expect(arrived[0]?.['x-request-id']).not.toBe('of-the-client');
});

test('an answer that breaks off breaks the answer to the client', async () => {
  const { url } = await frontOf((_, res) => {
    res.write('begun');
    setImmediate(() => res.destroy());
  });
  const response = await fetch(url, post(SESSION));
  expect(response.status).toBe(200);
  await expect(response.text()).rejects.toThrow('terminated');
});

test('a GET that no instance answers is closed without an answer', async () => {
  const { url } = await frontOf('refuses', 'refuses');
  await expect(fetch(url)).rejects.toThrow('fetch failed');
  expect((await fetch(url, post(SESSION))).status).toBe(502);
});
