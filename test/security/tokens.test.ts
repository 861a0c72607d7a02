/**
 * A token stays on the instance that received it. Every credential header and `authInfo.token` carries a text that
 * occurs nowhere else; after relayed calls, failed hooks and a lost owner that text is searched for in the store, in
 * the messages between the instances, in the log and in what clients were answered.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { storeAway } from '../../src/errors.ts';
import type { McpHttpRequest } from '../../src/index.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import type { ServeSettings } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import type { WatchedStore } from '../kit/watched-store.ts';
import { recordedKinds, recordedStore } from './recorded-store.ts';

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

const TOKEN = 'canary-of-auth-info';
const canary = (name: string): string => `canary-of-${name}-9f2c`;
const headers = Object.fromEntries(CREDENTIALS.map((name) => [name, canary(name)]));
const CANARIES = [TOKEN, ...Object.values(headers)];

const auth: NonNullable<ServeSettings['auth']> = ({ 'x-user': sub }) => ({
  token: TOKEN,
  clientId: 'c',
  scopes: ['read'],
  expiresAt: 4_000_000_000,
  resource: new URL('https://mcp.example/'),
  extra: { sub },
});

/** What a middleware's error may carry: the request with its headers, and who asked. */
function carrying(request: McpHttpRequest): Error {
  const config = { headers: Object.fromEntries(request.headers) };
  const cause = Object.assign(new Error('the upstream refused'), { config, request });
  return Object.assign(new Error('hook failed', { cause }), { authInfo: request.authInfo });
}

/** Those that a text has, plain, in hex or in base64. */
function found(haystack: Buffer, texts: readonly string[] = CANARIES): string[] {
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

/** Takes the lease from an owner, until another instance has its session. */
async function lose(owner: Member, store: WatchedStore | undefined, taken: () => boolean): Promise<void> {
  if (store === undefined) throw new Error('no store');
  // Else it comes back under a new id, and keeps its session and the call.
  store.before['instances.announce'] = () => {
    throw storeAway('announcing an instance', undefined);
  };
  const leave = async (): Promise<boolean> => {
    // An owner that a loaded machine held up has another id than a moment ago.
    await store.views.at(-1)?.instances.leave(owner.id);
    return taken();
  };
  await until(leave, { timeoutMs: 40_000, pollMs: 50, what: 'another instance to take the session' });
}

describe.each(recordedKinds)('on the store %s', (kind) => {
  test('no credential reaches the store, another instance, the log or an answer', { timeout: 60_000 }, async () => {
    const store = await recordedStore(kind);
    const opened: ReturnType<typeof store.open>[] = [];
    const seen: { headers: string[]; authInfo: AuthInfo | undefined }[] = [];
    let failing = false;
    const options = {
      store: () => {
        const one = store.open();
        opened.push(one);
        return one;
      },
      leaseMs: LEASE_MS,
      relayedHeaders: ['x-user'],
      configureSessionOptions: (request: McpHttpRequest) => {
        if (failing) throw carrying(request);
      },
    };
    const [a, b] = (await serveFleet(2, options, [
      { face: 'node', auth },
      { face: 'fetch', auth },
    ])) as [Member, Member];
    const answers: string[] = [];
    const keep = async <T extends { readonly response: { readonly body: string } }>(call: Promise<T>): Promise<T> => {
      const answer = await call;
      answers.push(inspect(answer.response, { depth: 6 }), answer.response.body);
      return answer;
    };

    const all = { headers: { ...headers, 'x-user': 'alice' }, timeoutMs: 40_000 };
    const onA = a.client(all);
    await onA.initialize({ capabilities: { elicitation: { form: {} } } });
    const onB = b.join(onA, all);

    // Relayed: a call that the handler looks at, a GET, an error, a notification.
    const relayed = keep(onB.call(...tool('hold')));
    const held = await a.lab.held();
    seen.push({ headers: [...(held.ctx.http?.req?.headers.keys() ?? [])], authInfo: held.ctx.http?.authInfo });
    held.answer('visible-in-the-log-of-events');
    expect(textOf((await relayed).message)).toBe('visible-in-the-log-of-events');
    expect((await onB.get()).status).toBe(200);
    await keep(onB.call(...tool('no-such-tool')));
    await keep(onB.call('no/such/method'));
    expect((await onB.notify('notifications/roots/list_changed')).status).toBe(202);
    expect((await b.join(onA, { headers: { ...headers, 'x-user': 'eve' } }).call('ping')).response.status).toBe(403);

    // What fails in a hook, with the request in its error.
    failing = true;
    const opening = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } };
    const { response } = await keep(b.client(all).call('initialize', opening));
    expect(response.status).toBe(500);
    failing = false;

    // A call whose owner is lost, a call that is restored elsewhere, and the end of the session.
    const lost = keep(onB.call(...tool('hold')));
    await a.lab.held(1);
    await lose(a, opened[0], () => b.lab.made.length > 0);
    expect((await lost).message.error).toMatchObject({ data: { reason: 'owner_lost' } });
    expect(textOf((await keep(onB.call(...tool('count')))).message)).toBe('1');
    expect(b.lab.made.at(-1)?.ctx.restored).toBe(true);
    expect((await onB.delete()).status).toBe(200);
    await until(() => b.endpoint.sessions.count === 0);

    // What is recorded is all there: this text went the same ways.
    const everything = await store.everything();
    expect(everything.includes('visible-in-the-log-of-events')).toBe(true);
    expect(everything.includes('x-user')).toBe(true);
    const logged = [...a.log.lines, ...b.log.lines];
    const text = logged.map((line) => `${inspect(line, { depth: 12, showHidden: true })}\n${JSON.stringify(line)}`);
    expect(text.join('')).toContain('the upstream refused');
    expect({
      store: found(everything),
      log: found(Buffer.from(text.join('\n'))),
      answers: found(Buffer.from(answers.join('\n'))),
    }).toEqual({ store: [], log: [], answers: [] });

    // The handler's own view at the owner.
    expect(seen[0]?.authInfo).toEqual({ ...auth({ 'x-user': 'alice' }), token: '' });
    expect(seen[0]?.headers).toContain('x-user');
    expect(seen[0]?.headers.filter((name) => CREDENTIALS.includes(name))).toEqual([]);
  });
});

test('the instance that received a request shows its handlers the token and every header', async () => {
  const store = await recordedStore('sqlite');
  const [a] = (await serveFleet(1, { store: () => store.open() }, [{ face: 'node', auth }])) as [Member];
  const client = a.client({ headers: { ...headers, 'x-user': 'alice' } });
  await client.initialize();
  const called = client.call(...tool('hold'));
  const { ctx, answer } = await a.lab.held();
  expect(ctx.http?.authInfo?.token).toBe(TOKEN);
  expect(CREDENTIALS.map((name) => ctx.http?.req?.headers.get(name))).toEqual(CREDENTIALS.map(canary));
  answer('done');
  await called;
});

describe.each(recordedKinds)('with the option auth, on the store %s', (kind) => {
  const GOOD = 'canary-token-that-is-valid-71ab';
  const BAD = 'canary-token-of-a-stranger-0c5d';
  const BROKEN = 'canary-token-that-breaks-the-verifier-3e9f';

  test(
    'B204 no access token reaches the store, another instance, the log or an answer, in both eras',
    { timeout: 60_000 },
    async () => {
      const store = await recordedStore(kind);
      const opened: ReturnType<typeof store.open>[] = [];
      const runs = { look: 0 };
      const labOf = () =>
        createLab((server) =>
          server.registerTool('look', { annotations: { readOnlyHint: true } }, () => {
            runs.look += 1;
            // The first run ends with its instance.
            return runs.look === 1
              ? new Promise<never>(() => {})
              : { content: [{ type: 'text', text: 'looked-again' }] };
          }),
        );
      const options = {
        store: () => {
          const one = store.open();
          opened.push(one);
          return one;
        },
        leaseMs: LEASE_MS,
        auth: {
          verify: async (token: string) => {
            if (token === BROKEN) throw Object.assign(new Error(`cannot read ${token}`), { token, cause: { token } });
            if (token !== GOOD) return undefined;
            const extra = { iss: 'https://id.example', sub: 'alice', secret: 'visible-claim' };
            return { token, clientId: 'c', scopes: ['read'], expiresAt: 4_000_000_000, extra };
          },
          metadata: { resource: 'https://mcp.example/mcp', authorization_servers: ['https://id.example'] },
        },
      };
      const [a, b] = (await serveFleet(2, options, [], [labOf(), labOf()])) as [Member, Member];
      const answers: string[] = [];
      const keep = <T extends { readonly response: { readonly body: string } }>(answer: T): T => {
        answers.push(inspect(answer.response, { depth: 6 }), answer.response.body);
        return answer;
      };
      const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` }, timeoutMs: 40_000 });

      // Both eras, at the owner and relayed.
      const onA = a.client(as(GOOD));
      await onA.initialize();
      const onB = b.join(onA, as(GOOD));
      for (const client of [onA, onB]) expect(keep(await client.call(...tool('count'))).message.error).toBeUndefined();
      expect((await onB.get()).status).toBe(200);
      for (const member of [a, b]) {
        const echo = { name: 'echo', arguments: { text: 'visible-in-2026-07-28' } };
        expect(textOf(keep(await callModern(member.client(as(GOOD)), 'tools/call', echo)).message)).toBe(
          'visible-in-2026-07-28',
        );
      }

      // Refused tokens, in both eras.
      for (const token of [BAD, BROKEN]) {
        for (const member of [a, b]) {
          const status = token === BAD ? 401 : 500;
          const other = member.join(onA, as(token));
          expect(keep(await other.call(...tool('count'))).response.status).toBe(status);
          expect(keep(await callModern(member.client(as(token)), 'tools/list', {})).response.status).toBe(status);
        }
      }

      // A call whose owner is lost runs again on the other instance.
      const looking = onB.call(...tool('look'));
      await until(() => runs.look === 1);
      await lose(a, opened[0], () => runs.look === 2);
      expect(textOf(keep(await looking).message)).toBe('looked-again');
      expect(runs.look).toBe(2);

      const everything = await store.everything();
      expect(everything.includes('looked-again')).toBe(true);
      // Messages between the instances are among what is searched.
      expect(everything.includes('visible-claim')).toBe(true);
      const logged = [...a.log.lines, ...b.log.lines].map(
        (line) => `${inspect(line, { depth: 12, showHidden: true })}\n${JSON.stringify(line)}`,
      );
      const tokens = [GOOD, BAD, BROKEN];
      expect({
        store: found(everything, tokens),
        log: found(Buffer.from(logged.join('\n')), tokens),
        answers: found(Buffer.from(answers.join('\n')), tokens),
      }).toEqual({ store: [], log: [], answers: [] });
    },
  );
});
