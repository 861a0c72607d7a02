/**
 * A token stays on the instance that received it. Every credential header and `authInfo.token` carries a text that
 * occurs nowhere else; after relayed calls, failed hooks and a lost owner that text is searched for in what the store was
 * given, the messages between the instances among it, in the log and in what clients were answered.
 */
import { inspect } from 'node:util';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import type { McpHttpRequest } from '../../src/index.ts';
import { serveFleet, type FleetOptions, type Member } from '../kit/fleet.ts';
import { bearer } from '../kit/issuer.ts';
import { createLab, type Lab, textOf, tool } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serve } from '../kit/serve.ts';
import { sharedStore } from '../kit/shared-stores.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { cut, type WatchedStore, watchedStore } from '../kit/watched-store.ts';

const CREDENTIALS = [
  'authorization',
  'proxy-authorization',
  'cookie',
  'x-api-key',
  'x-forwarded-access-token',
  // By the option.
  'x-lab-secret',
  // On no list.
  'x-amzn-oidc-data',
];

/** Longer than a machine under load holds this process up: nothing moves the session before the test does. */
const LEASE_MS = 3_000;

const canary = (name: string): string => `canary-of-${name}-9f2c`;
const headers = Object.fromEntries(CREDENTIALS.map((name) => [name, canary(name)]));
const GOOD = 'canary-token-that-is-valid-71ab';
const BAD = 'canary-token-of-a-stranger-0c5d';
const BROKEN = 'canary-token-that-breaks-the-verifier-3e9f';

const info = (token: string): AuthInfo => ({
  token,
  clientId: 'c',
  scopes: ['read'],
  expiresAt: 4_000_000_000,
  resource: new URL('https://mcp.example/mcp'),
  extra: { iss: 'https://id.example', sub: 'alice', secret: 'visible-claim' },
});

async function verify(token: string): Promise<AuthInfo | undefined> {
  if (token === BROKEN)
    throw Object.assign(new Error(`cannot read ${token}`), { token, cause: { token } });
  return token === GOOD ? info(token) : undefined;
}

const as = (token: string) => ({
  headers: { ...headers, ...bearer(token).headers, 'x-user': 'alice' },
  timeoutMs: 40_000,
});

/** What a middleware's error may carry: the request with its headers, and who asked. */
function carrying(request: McpHttpRequest): Error {
  const config = { headers: Object.fromEntries(request.headers) };
  const cause = Object.assign(new Error('the upstream refused'), { config, request });
  return Object.assign(new Error('hook failed', { cause }), { authInfo: request.authInfo });
}

/** Those that a text has, plain, in hex or in base64. */
function found(haystack: Buffer, texts: readonly string[]): string[] {
  return texts.filter((text) => {
    const bytes = Buffer.from(text);
    const spellings = [bytes, Buffer.from(bytes.toString('hex'))];
    // The three ways in which it can lie in base64, without the characters that its neighbours share.
    for (const shift of [0, 1, 2]) {
      const encoded = Buffer.concat([Buffer.alloc(shift), bytes])
        .toString('base64')
        .replace(/=+$/, '');
      spellings.push(Buffer.from(encoded.slice(shift === 0 ? 0 : 4, -4)));
    }
    return spellings.some((spelling) => haystack.includes(spelling));
  });
}

/** Two instances on a store that is watched, and everything that they let out. */
async function recorded(options: FleetOptions, labs: readonly Lab[]) {
  const opened: WatchedStore[] = [];
  const connect = sharedStore('sqlite');
  const store = (): WatchedStore => {
    const store = watchedStore({ durable: true, inner: connect() });
    opened.push(store);
    return store;
  };
  const given = { ...options, store, leaseMs: LEASE_MS };
  const [a, b] = await serveFleet(2, given, [{ face: 'node' }, { face: 'fetch' }], labs);
  const answers: string[] = [];
  return {
    a,
    b,
    keep: async <T extends { readonly response: RawResponse }>(
      call: T | Promise<T>,
    ): Promise<T> => {
      const answer = await call;
      answers.push(inspect(answer.response, { depth: 6 }), answer.response.body);
      return answer;
    },
    /** Takes the lease from the first instance, until the other one has its session. */
    lose: async (taken: () => boolean): Promise<void> => {
      const [own] = opened as [WatchedStore];
      // Else it comes back under a new id, and keeps its session and the call.
      cut(own, 'instances.announce');
      const leave = async (): Promise<boolean> => {
        // An owner that a loaded machine held up has another id than a moment ago.
        await own.views.at(-1)?.instances.leave(a.id);
        return taken();
      };
      await until(leave, {
        timeoutMs: 40_000,
        pollMs: 50,
        what: 'another instance to take the session',
      });
    },
    /** None of the texts is anywhere; `visible` texts, which went the same ways, were given to the store. */
    expectNone: (texts: readonly string[], visible: readonly string[]): void => {
      // Records, logs, markers, mailboxes: a store keeps what it was asked to keep.
      const asked = opened.flatMap(({ calls }) =>
        calls.map(({ call, args }) => `${call} ${JSON.stringify(args)}\n`),
      );
      const everything = Buffer.from(asked.join(''));
      expect(visible.filter((text) => !everything.includes(text))).toEqual([]);
      expect({
        store: found(everything, texts),
        log: found(Buffer.from(logOf(a, b)), texts),
        answers: found(Buffer.from(answers.join('\n')), texts),
      }).toEqual({ store: [], log: [], answers: [] });
    },
  };
}

/** Each line as the console and as a JSON logger write it. */
const logOf = (...members: readonly Member[]): string =>
  members
    .flatMap(({ log }) => log.lines)
    .map((line) => `${inspect(line, { depth: 12, showHidden: true })}\n${JSON.stringify(line)}`)
    .join('\n');

test('B204 no token and no credential reaches the store, another instance, the log or an answer, in both eras', async () => {
  let looks = 0;
  const labOf = () =>
    createLab((server) =>
      server.registerTool('look', { annotations: { readOnlyHint: true } }, () => {
        looks += 1;
        // The first run ends with its instance.
        return looks === 1 ? new Promise<never>(() => {}) : said('looked-again');
      }),
    );
  let failing = false;
  const metadata = {
    resource: 'https://mcp.example/mcp',
    authorization_servers: ['https://id.example'],
  };
  const options: FleetOptions = {
    auth: { verify, metadata },
    relayedHeaders: ['x-user'],
    configureSessionOptions: (request: McpHttpRequest) => {
      if (failing) throw carrying(request);
    },
  };
  const { a, b, keep, lose, expectNone } = await recorded(options, [labOf(), labOf()]);
  const onA = await a.openSession({ capabilities: { elicitation: { form: {} } } }, as(GOOD));
  const onB = b.join(onA, as(GOOD));

  // Relayed: a call that the handler looks at, a GET, an error, a notification.
  const relayed = keep(onB.call(...tool('hold')));
  const held = await a.lab.held();
  const { req, authInfo } = held.ctx.http ?? {};
  const seen = [...(req?.headers.keys() ?? [])];
  held.answer('visible-in-the-log-of-events');
  expect(textOf((await relayed).message)).toBe('visible-in-the-log-of-events');
  expect((await onB.get()).status).toBe(200);
  await keep(onB.call(...tool('no-such-tool')));
  await keep(onB.call('no/such/method'));
  expect((await onB.notify('notifications/roots/list_changed')).status).toBe(202);

  // In both eras at each instance: calls, and refused tokens.
  for (const member of [a, b]) {
    expect(
      (await keep(member.join(onA, as(GOOD)).call(...tool('count')))).message.error,
    ).toBeUndefined();
    const { message } = await keep(
      callModern(member.client(as(GOOD)), ...tool('echo', { text: 'x' })),
    );
    expect(textOf(message)).toBe('x');
    for (const [token, status] of [
      [BAD, 401],
      [BROKEN, 500],
    ] as const) {
      expect((await keep(member.join(onA, as(token)).call(...tool('count')))).response.status).toBe(
        status,
      );
      expect(
        (await keep(callModern(member.client(as(token)), 'tools/list', {}))).response.status,
      ).toBe(status);
    }
  }

  // What fails in a hook, with the request in its error.
  failing = true;
  expect((await keep(b.client(as(GOOD)).initialize())).response.status).toBe(500);
  failing = false;

  // Of two calls whose owner is lost one runs again; then a call in the restored session, and its end.
  const lost = keep(onB.call(...tool('hold')));
  await a.lab.held(1);
  const looking = keep(onB.call(...tool('look')));
  await until(() => looks === 1);
  await lose(() => looks === 2);
  expect((await lost).message.error).toMatchObject({ data: { reason: 'owner_lost' } });
  expect(textOf((await looking).message)).toBe('looked-again');
  expect(textOf((await keep(onB.call(...tool('count')))).message)).toBe('3');
  expect(b.lab.made.at(-1)?.ctx.restored).toBe(true);
  expect((await onB.delete()).status).toBe(200);
  await until(() => b.endpoint.sessions.liveCount === 0);

  expect(logOf(a, b)).toContain('the upstream refused');
  // Messages between the instances are among what is searched: the claim is in them alone.
  const visible = ['visible-in-the-log-of-events', 'looked-again', 'visible-claim', 'x-user'];
  expectNone([GOOD, BAD, BROKEN, ...Object.values(headers)], visible);

  // The handler's own view at the owner.
  expect(authInfo).toMatchObject({ ...info(''), resource: expect.anything() as unknown });
  expect(seen).toContain('x-user');
  expect(seen.filter((name) => CREDENTIALS.includes(name))).toEqual([]);
});

test('the instance that received a request shows its handlers the token and every header', async () => {
  const lab = createLab();
  const { openSession } = await serve(lab.factory, {}, { face: 'node', auth: () => info(GOOD) });
  const client = await openSession({}, { headers });
  const called = client.call(...tool('hold'));
  const { ctx, answer } = await lab.held();
  expect(ctx.http?.authInfo?.token).toBe(GOOD);
  expect(CREDENTIALS.map((name) => ctx.http?.req?.headers.get(name))).toEqual(
    CREDENTIALS.map(canary),
  );
  answer('done');
  await called;
});
