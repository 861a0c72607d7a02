/**
 * Notifications and answers that another user posts to a session while the store is away. They are accepted with 202
 * before an instance can look at the session, as those to an id that no session has, and reach no server.
 */
import { expect, test } from 'vitest';
import type { Notice } from '../../src/index.ts';
import { type Member, serveMember } from '../kit/fleet.ts';
import { createLab, textOf, toolCall } from '../kit/lab.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { userHeader } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { cut, loseLease, mend, type WatchedStore, watchedStore } from '../kit/watched-store.ts';

const MAX_WAIT_MS = 300;
const WAITED = 'requestWaited';
const roots = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' };
const answer = (id: unknown, colour: string) => ({
  jsonrpc: '2.0',
  id,
  result: { action: 'accept', content: { colour } },
});

interface Scene {
  readonly store: WatchedStore;
  readonly a: Member;
  readonly b: Member;
  readonly owner: RawClient;
}

/** What takes the store away, so that the instance that is posted to cannot look at the session; and what follows. */
interface Place {
  readonly at: 'a' | 'b';
  /** The question of the session's call is still asked at the end. */
  readonly isAsked: boolean;
  away(scene: Scene): void | Promise<void>;
  back?(scene: Scene): Promise<void>;
}

const lapsed = ({ endpoint }: Member): Promise<unknown> =>
  until(() => endpoint.health().state === 'lapsed', { what: 'its lease to lapse' });

const PLACES: Readonly<Record<string, Place>> = {
  'at its owner, whose lease has run out': {
    at: 'a',
    isAsked: true,
    away: async ({ store, a }) => {
      cut(store);
      await lapsed(a);
    },
  },
  'at an instance that relays': {
    at: 'b',
    isAsked: true,
    away: ({ store }) => cut(store, 'sessions.read'),
  },
  'at an instance that restores it': {
    at: 'b',
    isAsked: false,
    away: async ({ store, a }) => {
      await a.endpoint.close({ timeoutMs: 0 });
      cut(store, 'sessions.read');
    },
  },
  'at its owner, and another instance claims it': {
    at: 'a',
    isAsked: false,
    away: async ({ store, a }) => {
      await loseLease(store, a.id);
      await lapsed(a);
    },
    back: async ({ b, owner }) => {
      expect((await b.join(owner, as('ann')).call('ping')).response.status).toBe(200);
    },
  },
};

const as = (user: string) => ({ headers: { 'x-user': user } });

/** All that a client can tell one 202 from another by. */
const shown = ({ status, body, rawHeaders }: RawResponse) => ({
  status,
  body,
  headers: rawHeaders.filter(([name]) => name.toLowerCase() !== 'date'),
});

test.each(Object.entries(PLACES))(
  'what another user posts while the store is away is accepted as for an unknown id, and never delivered: %s',
  { timeout: 60_000 },
  async (_name, { at, isAsked, away, back }) => {
    const heard: string[] = [];
    let waited = 0;
    const observe = ({ kind }: Notice): void => void (kind === WAITED && (waited += 1));
    const store = watchedStore({ durable: true });
    const options = { store, observe, maxWaitMs: MAX_WAIT_MS, leaseMs: 2_000 };
    const member = (name: string): Promise<Member> =>
      serveMember(
        options,
        { face: 'node', auth: userHeader },
        createLab((server) =>
          server.server.setNotificationHandler('notifications/roots/list_changed', () => {
            heard.push(name);
          }),
        ),
      );
    const [a, b] = [await member('a'), await member('b')];
    const owner = await a.openSession({ capabilities: { elicitation: {}, roots: {} } }, as('ann'));
    const asking = await owner.post(toolCall('asks', 'ask'));
    const question = (await asking.nextMessage()) as { id: string };
    // An instance without its store ends the stream, which its client resumes.
    const { lastId: lastEventId } = asking;
    asking.abort();
    const scene = { store, a, b, owner };

    await away(scene);
    const target = at === 'a' ? a : b;
    const stranger = target.join(owner, as('eve'));
    const unknown = target.join(owner, as('eve'));
    unknown.sessionId = 'A'.repeat(String(owner.sessionId).length);
    const began = performance.now();
    const posts = [stranger, unknown].flatMap((client) =>
      [roots, answer(question.id, 'stolen')].map((message) => client.post(message)),
    );
    const own = target.join(owner, as('ann')).post(roots);
    const [first, second, ...others] = await Promise.all(posts);
    expect(performance.now() - began).toBeGreaterThan(MAX_WAIT_MS - 50);
    expect((await own).status).toBe(202);
    expect([first, second].map((one) => shown(one as RawResponse))).toEqual(others.map(shown));
    expect(first?.status).toBe(202);
    expect([waited, heard]).toEqual([0, []]);

    await back?.(scene);
    mend(store);
    await until(() => waited >= 5, { what: 'every message to be delivered or dropped' });
    await until(() => heard.length > 0, { what: "the user's own notification" });
    if (isAsked) {
      const resumed = target.join(owner, as('ann'));
      const rest = await resumed.get({ lastEventId });
      await resumed.post(answer(question.id, 'blue'));
      expect(textOf((await rest.nextMessage()) as object)).toBe('accept {"colour":"blue"}');
    }
    await target.join(owner, as('ann')).call('tools/list');
    expect(heard).toHaveLength(1);
  },
);
