/**
 * Tokens without a valid signature, while the issuer gives answers that are no keys, answers slowly, never, or without
 * end. However many there are, one fetch is under way, it ends after 5 s, and the calls of others do not wait.
 */
import type { ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import { createFakeTime } from '../../src/testing/index.ts';
import {
  bearer,
  type Issuer,
  type IssuerAnswer as Answer,
  RESOURCE,
  says,
  startIssuer,
} from '../kit/issuer.ts';
import { serve } from '../kit/serve.ts';
import { toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';

/** While each is answered at once, and while all wait. */
const [TOKENS, WAITING] = [60, 200];
/** `auth.jwt` gives a fetch up after this time. */
const FETCH_MS = 5_000;
/** The keys are fetched again for an unknown key id after this time. */
const COOLDOWN_MS = 31_000;
/** Equal lines of the log in a second, and a line that counts the rest. */
const LINES = 21;

/** s. The SDK compares with the clock of the machine, `auth.jwt` with that of the endpoint. */
const EXPIRES = 4_000_000_000;

const tokenOf = (issuer: Issuer, sub: string) => issuer.token({ claims: { sub, exp: EXPIRES } });

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token with an unknown key id, and without a valid signature. */
function garbage(url: string, n: number): string {
  const claims = { iss: url, aud: RESOURCE, sub: 'ada', exp: EXPIRES };
  return `${encode({ alg: 'RS256', kid: `k${n}` })}.${encode(claims)}.${encode('no signature')}`;
}

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

const ANSWERS: Readonly<Record<string, Answer>> = {
  'status 404': status(404),
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
  'keys behind a MiB of spaces': says(`${' '.repeat(1_048_576)}{"keys":[]}`),
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
  'a page without end': (res) =>
    drip(res.writeHead(200, { 'content-type': 'text/html' }), '<p>sign in</p>'),
  'a redirect without end to itself': (res) => drip(res.writeHead(307, { location: '/jwks' }), 'x'),
  'a redirect to a place that never answers': (res, url) =>
    void res.writeHead(302, { location: `${url}/slow` }).end(),
};

/** Their status is not that of a document. */
const ENDING: ReadonlySet<string> = new Set(
  Object.keys(SLOW).filter((what) => /status|redirect/.test(what)),
);

async function start(jwksUri: string | undefined, answer?: Answer) {
  const issuer = await startIssuer(answer);
  const time = createFakeTime();
  const served = await serve(toolServer({}), {
    timeProvider: time,
    auth: {
      jwt: { issuer: issuer.url, audience: RESOURCE, jwksUri: jwksUri && issuer.url + jwksUri },
    },
  });
  return {
    ...served,
    issuer,
    time,
    away: () => served.log.matching(/keys of the issuer cannot be fetched/).length,
    /** A second later the issuer has recovered, and is asked again. */
    expectRecovery: async (): Promise<void> => {
      issuer.answer = undefined;
      await time.advance(1_000);
      const { response } = await served.client(bearer(await tokenOf(issuer, 'carl'))).initialize();
      expect(response.status).toBe(200);
    },
  };
}

/** Sends tokens of which each has another key id, so many at a time. Resolves when all were refused. */
async function flood(
  { issuer, client }: Awaited<ReturnType<typeof start>>,
  tokens: number,
  parallel: number,
) {
  const attacker = client();
  for (let n = 0; n < tokens; n += parallel) {
    const sent = Array.from({ length: parallel }, (_, m) => garbage(issuer.url, n + m));
    for (const { response, message } of await Promise.all(
      sent.map((one) => attacker.initialize(bearer(one))),
    )) {
      expect([401, 503]).toContain(response.status);
      if (response.status === 401) continue;
      expect([response.header('retry-after'), response.header('www-authenticate')]).toEqual([
        '1',
        undefined,
      ]);
      expect(message.error?.data).toMatchObject({ reason: 'auth_unavailable' });
    }
  }
}

/** The keys come from their URL, or are found through the metadata. */
const FROM = ['/jwks', undefined] as const;

describe.each(FROM)('with jwksUri %s', (jwksUri) => {
  test.each(Object.entries(ANSWERS))(
    `${TOKENS} tokens cost one look for the keys: %s`,
    async (_what, answer) => {
      const served = await start(jwksUri, answer);
      await flood(served, TOKENS, 10);
      const { requests } = served.issuer;
      if (jwksUri !== undefined) expect(requests).toEqual(['/jwks']);
      // The two places where issuers have their metadata, once.
      expect(requests.length).toBeLessThanOrEqual(2);
      expect(new Set(requests).size).toBe(requests.length);
      expect(served.away()).toBeLessThanOrEqual(10);
      requests.length = 0;
      await served.expectRecovery();
      expect(requests.filter((path) => path === '/jwks')).toEqual(['/jwks']);
    },
  );
});

test('the keys are asked for once, and the calls of others do not wait', async () => {
  const attacked = await Promise.all(
    Object.entries(SLOW).map(async ([what, answer]) => {
      const served = await start('/jwks');
      const user = await served.openSession({}, bearer(await tokenOf(served.issuer, 'ada')));
      return { what, answer, user, served };
    }),
  );
  await Promise.all(
    attacked.map(async ({ what, answer, user, served }) => {
      const { issuer, client, time } = served;
      await time.advance(COOLDOWN_MS);
      issuer.requests.length = 0;
      issuer.answer = answer;
      const over = flood(served, WAITING, WAITING);
      await until(() => issuer.requests.length > 0);
      // A token that was seen, and one with a known key that was not.
      expect((await user.call('ping')).message, what).toMatchObject({ result: {} });
      expect(
        (await client(bearer(await tokenOf(issuer, 'bob'))).initialize()).response.status,
        what,
      ).toBe(200);
      if (!ENDING.has(what)) await time.advance(FETCH_MS);
      await over;
      expect(issuer.requests, what).toEqual(['/jwks']);
      await until(() => issuer.open === 0, { what });
      expect(served.away(), what).toBeLessThanOrEqual(LINES);
      await served.expectRecovery();
    }),
  );
});
