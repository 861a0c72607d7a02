/**
 * Tokens without a valid signature, while the issuer gives answers that are no keys, answers slowly, never, or without
 * end. However many there are, one fetch is under way, it ends after 5 s, no answer is read without bound, and the calls
 * of others do not wait.
 */
import { connect } from 'node:net';
import type { ServerResponse } from 'node:http';
import { afterEach, expect, test, vi } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import { bearer, RESOURCE } from '../kit/issuer.ts';
import { serve } from '../kit/serve.ts';
import { toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { type Answer, garbage, says, startFaultyIssuer } from './faulty-issuer.ts';
import { rawRequest } from './aborts.ts';

const count = { attempts: 0, letIn: 0 };

/** While each is answered at once, and while all wait. */
const [TOKENS, WAITING] = [60, 200];
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

const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (res) => {
    res.writeHead(code, headers).end('{}');
  };
const key = { kty: 'RSA', n: 'sXch', e: 'AQAB' };

const ANSWERS: Readonly<Record<string, Answer>> = {
  'status 400': status(400),
  'status 401': status(401),
  'status 403': status(403),
  'status 404': status(404),
  'status 418': status(418),
  'status 429': status(429, { 'retry-after': '1' }),
  'status 301': status(301, { location: '/elsewhere' }),
  'status 302': status(302, { location: '/jwks' }),
  'status 307': status(307, { location: 'http://127.0.0.1:1/' }),
  'status 204': status(204),
  'status 503': status(503),
  'a page': says('<!doctype html><title>Sign in</title>'),
  'half of a document': says('{"keys":[{"kty":"RSA",'),
  nothing: says(''),
  null: says('null'),
  'an empty object': says('{}'),
  'keys that are no list': says('{"keys":1}'),
  'keys that are no objects': says('{"keys":[1,null]}'),
  '1,000 keys': says(JSON.stringify({ keys: Array.from({ length: 1_000 }, (_, n) => ({ ...key, kid: `k${n}` })) })),
  'a connection that is cut': (res) => void res.destroy(),
};

const json = { 'content-type': 'application/json' };

const SLOW: Readonly<Record<string, Answer>> = {
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
const ENDING: ReadonlySet<string> = new Set(Object.keys(SLOW).filter((what) => /status|redirect/.test(what)));

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

/** Sends tokens of which each has another key id, so many at a time. Resolves when all were refused. */
async function flood({ issuer, client }: Awaited<ReturnType<typeof start>>, tokens: number, parallel: number) {
  const attacker = client({ timeoutMs: 4 * FETCH_MS });
  for (let n = 0; n < tokens; n += parallel) {
    const sent = Array.from({ length: parallel }, (_, m) => garbage(issuer.url, n + m));
    for (const { response } of await Promise.all(sent.map((one) => attacker.initialize(bearer(one))))) {
      count.attempts += 1;
      if (response.status === 200) count.letIn += 1;
      expect([401, 503]).toContain(response.status);
    }
  }
}

async function flooded(jwksUri: string | undefined, answer: Answer) {
  const served = await start(jwksUri, answer);
  await flood(served, TOKENS, 10);
  return served;
}

test.each(Object.entries(ANSWERS))(`${TOKENS} tokens cost one fetch of the keys: %s`, async (_what, answer) => {
  const { issuer, time, client, log } = await flooded('/jwks', answer);
  expect(issuer.requests).toEqual(['/jwks']);
  expect(log.matching(/keys of the issuer cannot be fetched/, 'warn').length).toBeLessThanOrEqual(10);
  // A second later the issuer has recovered, and is asked again.
  issuer.state.answer = undefined;
  await time.advance(1_000);
  const { response } = await client(bearer(await issuer.token())).initialize();
  expect(response.status).toBe(200);
  expect(issuer.requests).toEqual(['/jwks', '/jwks']);
});

test.each(Object.entries(ANSWERS))(`${TOKENS} tokens cost one look at the metadata: %s`, async (_what, answer) => {
  const { issuer } = await flooded(undefined, answer);
  // The two places where issuers have them, once.
  expect(issuer.requests.length).toBeLessThanOrEqual(2);
  expect(new Set(issuer.requests).size).toBe(issuer.requests.length);
});

test.each(['/jwks', undefined])('an endless document is left after its first part (jwksUri %s)', async (path) => {
  const sent = { bytes: 0, open: 0 };
  const piece = `${JSON.stringify(key)},`.repeat(2_000);
  const endless: Answer = (res) => {
    sent.open += 1;
    res.on('close', () => (sent.open -= 1));
    res.setHeader('content-type', 'application/json').write('{"keys":[');
    const more = (): void => {
      while (!res.destroyed && sent.bytes < 512 * 1_048_576) {
        sent.bytes += piece.length;
        if (!res.write(piece)) return void res.once('drain', more);
      }
      res.destroy();
    };
    more();
  };
  const { issuer } = await flooded(path, endless);
  expect(issuer.requests.length).toBeLessThanOrEqual(2);
  await until(() => sent.open === 0);
  // What both ends of a connection buffer is the rest.
  expect(sent.bytes).toBeLessThan(16 * 1_048_576);
});

/** Each fetch of the keys takes its 5 s, so all of them run together. */
test('the keys are asked for once, and the calls of others do not wait', { timeout: 60_000 }, async () => {
  const attacked = await Promise.all(
    Object.entries(SLOW).map(async ([what, answer]) => {
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
      const over = flood(served, WAITING, WAITING);
      await until(() => issuer.requests.length > 0);
      // A token that was seen, and one with a known key that was not.
      expect((await user.call('ping')).message, what).toMatchObject({ result: {} });
      expect((await client(bearer(await issuer.token('bob'))).initialize()).response.status, what).toBe(200);
      await over;
      expect(issuer.requests, what).toEqual(['/jwks']);
      await until(() => issuer.state.open === 0, { what });
      expect(log.matching(/keys of the issuer cannot be fetched/).length, what).toBeLessThanOrEqual(LINES);
      issuer.state.answer = undefined;
      await time.advance(1_000);
      expect((await client(bearer(await issuer.token('carl'))).initialize()).response.status, what).toBe(200);
    }),
  );
});

test.each(Object.entries(SLOW))('the metadata are asked for once: %s', { timeout: 40_000 }, async (what, answer) => {
  const attacked = await start(undefined, answer);
  const { issuer, time, client, log } = attacked;
  const over = flood(attacked, WAITING, WAITING);
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
  issuer.state.answer = undefined;
  await time.advance(1_000);
  expect((await client(bearer(await issuer.token())).initialize()).response.status).toBe(200);
});

test('clients that leave while the issuer is silent leave nothing behind', { timeout: 40_000 }, async () => {
  const { issuer, client, port, time } = await start('/jwks', SLOW['no answer']);
  const body = { jsonrpc: '2.0', id: 1, method: 'ping', params: { padding: 'x'.repeat(100_000) } };
  const sockets = await Promise.all(
    Array.from(
      { length: WAITING },
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

test('of all these attempts none was let in', ({ annotate }) => {
  expect(count.letIn).toBe(0);
  expect(count.attempts).toBe(TOKENS * (2 * Object.keys(ANSWERS).length + 2) + WAITING * 2 * Object.keys(SLOW).length);
  void annotate(`${count.attempts} attempts, ${count.letIn} let in`);
});
