/**
 * Tokens without a valid signature, while the issuer gives answers that are no keys. No caller may make this instance
 * ask the issuer once per token, and no answer may be read without bound. The clock does not move, so a token caused
 * each request to the issuer past the first.
 */
import { expect, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import { bearer, RESOURCE } from '../kit/issuer.ts';
import { serve } from '../kit/serve.ts';
import { toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { type Answer, garbage, says, startFaultyIssuer } from './faulty-issuer.ts';

const count = { attempts: 0, letIn: 0 };

const TOKENS = 60;
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

async function flooded(answer: Answer, jwksUri: (url: string) => string | undefined) {
  const issuer = await startFaultyIssuer(answer);
  const time = createFakeTime();
  const { client, log } = await serve(toolServer({}), {
    timeProvider: time,
    auth: { jwt: { issuer: issuer.url, audience: RESOURCE, jwksUri: jwksUri(issuer.url) } },
  });
  const flood = client();
  for (let n = 0; n < TOKENS; n += 10) {
    const sent = Array.from({ length: 10 }, (_, m) => garbage(issuer.url, n + m));
    for (const { response } of await Promise.all(sent.map((one) => flood.initialize(bearer(one))))) {
      count.attempts += 1;
      if (response.status === 200) count.letIn += 1;
      expect([401, 503]).toContain(response.status);
    }
  }
  return { issuer, time, client, log };
}

test.each(Object.entries(ANSWERS))(`${TOKENS} tokens cost one fetch of the keys: %s`, async (_what, answer) => {
  const { issuer, time, client, log } = await flooded(answer, (url) => `${url}/jwks`);
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
  const { issuer } = await flooded(answer, () => undefined);
  // The two places where issuers have it, once.
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
  const { issuer } = await flooded(endless, (url) => (path === undefined ? undefined : url + path));
  expect(issuer.requests.length).toBeLessThanOrEqual(2);
  await until(() => sent.open === 0);
  // What both ends of a connection buffer is the rest.
  expect(sent.bytes).toBeLessThan(16 * 1_048_576);
});

test('of all these attempts none was let in', ({ annotate }) => {
  expect(count.letIn).toBe(0);
  expect(count.attempts).toBe(TOKENS * (2 * Object.keys(ANSWERS).length + 2));
  void annotate(`${count.attempts} attempts, ${count.letIn} let in`);
});
