/**
 * Tokens without a valid signature, while the issuer answers slowly, never, or without end. However many there are, one
 * fetch is under way, it ends after 5 s, and the calls of others do not wait for it.
 */
import { connect } from 'node:net';
import type { ServerResponse } from 'node:http';
import { afterEach, expect, test, vi } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import { bearer, RESOURCE } from '../kit/issuer.ts';
import { serve } from '../kit/serve.ts';
import { toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { type Answer, garbage, startFaultyIssuer } from './faulty-issuer.ts';
import { rawRequest } from './aborts.ts';

const TOKENS = 200;
/** `auth.jwt` gives a fetch up after this time. */
const FETCH_MS = 5_000;
/** `jose` fetches again for an unknown key id after this time. */
const COOLDOWN_MS = 31_000;
/** Equal lines of the log in a second, and a line that counts the rest. */
const LINES = 21;

/** Writes `piece` every few milliseconds for as long as the connection is open. */
function drip(res: ServerResponse, piece: string): void {
  res.write(piece);
  const timer = setInterval(() => res.write(piece), 20);
  res.on('close', () => clearInterval(timer));
}

const json = { 'content-type': 'application/json' };

const ANSWERS: Readonly<Record<string, Answer>> = {
  'no answer': () => {},
  'a head and no body': (res) => res.writeHead(200, json).flushHeaders(),
  'a body byte by byte': (res) => drip(res.writeHead(200, json), ' '),
  'half of a document, and nothing more': (res) => void res.writeHead(200, json).write('{"keys":['),
  'a status 404 whose body has no end': (res) => drip(res.writeHead(404), 'x'.repeat(1_000)),
  'a status 503 whose body has no end': (res) => drip(res.writeHead(503), 'x'.repeat(1_000)),
  'a page without end': (res) => drip(res.writeHead(200, { 'content-type': 'text/html' }), '<p>sign in</p>'),
  'a redirect without end to itself': (res) => drip(res.writeHead(307, { location: '/jwks' }), 'x'),
  'a redirect to a place that never answers': (res, url) => void res.writeHead(302, { location: `${url}/slow` }).end(),
};

/** Their status is not that of a document. */
const ENDING: ReadonlySet<string> = new Set(Object.keys(ANSWERS).filter((what) => /status|redirect/.test(what)));

afterEach(() => vi.useRealTimers());

async function start(jwksUri: string | undefined, answer?: Answer) {
  const issuer = await startFaultyIssuer(answer);
  const time = createFakeTime();
  const served = await serve(toolServer({}), {
    timeProvider: time,
    auth: { jwt: { issuer: issuer.url, audience: RESOURCE, jwksUri: jwksUri && issuer.url + jwksUri } },
  });
  return { issuer, time, ...served };
}

/** Sends tokens of which each has another key id. `answered` grows while they are refused. */
function flood({ issuer, client }: Awaited<ReturnType<typeof start>>) {
  const attacker = client({ timeoutMs: 4 * FETCH_MS });
  const state = { answered: 0, letIn: 0 };
  const over = Promise.all(
    Array.from({ length: TOKENS }, async (_, n) => {
      const { response } = await attacker.initialize(bearer(garbage(issuer.url, n)));
      state.answered += 1;
      if (response.status === 200) state.letIn += 1;
      expect([401, 503]).toContain(response.status);
    }),
  );
  return { state, over };
}

/** Each fetch of the keys takes its 5 s, so all of them run together. */
test('the keys are asked for once, and the calls of others do not wait', { timeout: 60_000 }, async () => {
  const attacked = await Promise.all(
    Object.entries(ANSWERS).map(async ([what, answer]) => {
      const served = await start('/jwks');
      const user = served.client(bearer(await served.issuer.token()));
      await user.initialize();
      return { what, answer, user, ...served };
    }),
  );
  // `jose` reads the clock of the machine.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + COOLDOWN_MS });
  await Promise.all(
    attacked.map(async ({ what, answer, user, ...served }) => {
      const { issuer, client, log, time } = served;
      issuer.requests.length = 0;
      issuer.state.answer = answer;
      const { state, over } = flood(served);
      await until(() => issuer.requests.length > 0);
      // A token that was seen, and one with a known key that was not.
      expect((await user.call('ping')).message, what).toMatchObject({ result: {} });
      expect((await client(bearer(await issuer.token('bob'))).initialize()).response.status, what).toBe(200);
      await over;
      expect(issuer.requests, what).toEqual(['/jwks']);
      await until(() => issuer.state.open === 0, { what });
      expect(log.matching(/keys of the issuer cannot be fetched/).length, what).toBeLessThanOrEqual(LINES);
      expect(state.letIn, what).toBe(0);
      issuer.state.answer = undefined;
      await time.advance(1_000);
      expect((await client(bearer(await issuer.token('carl'))).initialize()).response.status, what).toBe(200);
    }),
  );
});

test.each(Object.entries(ANSWERS))('the metadata are asked for once: %s', { timeout: 40_000 }, async (what, answer) => {
  const attacked = await start(undefined, answer);
  const { issuer, time, client, log } = attacked;
  const { state, over } = flood(attacked);
  let isOver = false;
  void over.then(() => (isOver = true));
  // A status ends the look at once, and the clock must not reach the next one then.
  if (!ENDING.has(what)) {
    await until(() => issuer.requests.length > 0);
    await time.advance(FETCH_MS);
  }
  await until(() => isOver, { timeoutMs: 20_000 });
  // The two places where issuers have it, once, and no place that they redirect to.
  expect(issuer.requests.length).toBeLessThanOrEqual(2);
  expect(issuer.requests.every((path) => path.includes('/.well-known/'))).toBe(true);
  await until(() => issuer.state.open === 0);
  expect(log.matching(/keys of the issuer cannot be fetched/).length).toBeLessThanOrEqual(LINES);
  expect(state.letIn).toBe(0);
  issuer.state.answer = undefined;
  await time.advance(1_000);
  expect((await client(bearer(await issuer.token())).initialize()).response.status).toBe(200);
});

test('clients that leave while the issuer is silent leave nothing behind', { timeout: 40_000 }, async () => {
  const { issuer, client, port, time } = await start('/jwks', ANSWERS['no answer']);
  const body = { jsonrpc: '2.0', id: 1, method: 'ping', params: { padding: 'x'.repeat(100_000) } };
  const sockets = await Promise.all(
    Array.from(
      { length: TOKENS },
      (_, n) =>
        new Promise<ReturnType<typeof connect>>((opened) => {
          const socket = connect(port, '127.0.0.1', () => opened(socket)).on('error', () => {});
          socket.write(rawRequest('POST', { authorization: `Bearer ${garbage(issuer.url, n)}` }, body));
        }),
    ),
  );
  await until(() => issuer.requests.length === 1);
  for (const socket of sockets) socket.resetAndDestroy();
  await until(() => issuer.state.open === 0, { timeoutMs: 4 * FETCH_MS });
  expect(issuer.requests).toEqual(['/jwks']);
  issuer.state.answer = undefined;
  await time.advance(1_000);
  expect((await client(bearer(await issuer.token())).initialize()).response.status).toBe(200);
});
