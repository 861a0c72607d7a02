/**
 * A `Last-Event-ID` of another session never brings out anything of that session, from any user and to any instance.
 */
import { describe, expect, test } from 'vitest';
import { parseEventId, sessionTag } from '../../src/session/streams/event-id.ts';
import { toolCall } from '../kit/lab.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet, type Member } from '../kit/fleet.ts';
import { until } from '../kit/until.ts';
import { userHeader } from '../kit/serve.ts';
import { sharedStore, durableKinds, useSharedStores } from '../kit/shared-stores.ts';

useSharedStores();

const SECRET = 'the-secret-of-the-other-session';

const as = (user: string) => ({ headers: { 'x-user': user }, timeoutMs: 20_000 });

/** The ids of a session whose streams hold secrets: of its GET stream, of an answered call and of a running call. */
async function secretIds(a: Member, client: RawClient): Promise<string[]> {
  const get = await client.get();
  const { id: standalone = '' } = await get.next();
  await a.lab.made[0]?.server.server.sendLoggingMessage({ level: 'info', data: SECRET });
  await get.nextMessage();
  const { response } = await client.call('tools/call', { name: 'echo', arguments: { text: SECRET } });
  const [answered] = await response.untilEnd();
  const running = await client.post(toolCall('running', 'hold'));
  const { id: held = '' } = await running.next();
  const { ctx, answer } = await a.lab.held();
  await ctx.mcpReq.notify({ method: 'notifications/message', params: { level: 'info', data: SECRET } });
  await running.nextMessage();
  answer(SECRET);
  await running.untilEnd();
  get.abort();
  return [standalone, answered?.id ?? '', held];
}

/** All that came, once the response has ended or has brought what a GET stream begins with. */
async function everything(response: RawResponse): Promise<string> {
  if (response.status === 200)
    await until(() => response.ending !== undefined || response.events.some(({ message }) => message !== undefined));
  response.abort();
  return response.body;
}

describe.each(durableKinds)('on the store %s', (kind) => {
  test.each([
    ['the same user', 'alice'],
    ['another user', 'mallory'],
  ])('an event id of another session brings out nothing of it to a session of %s', async (_, user) => {
    const connect = sharedStore(kind);
    const settings = { face: 'node', auth: userHeader } as const;
    const [a, b] = await serveFleet(2, { store: connect }, [settings, settings]);
    const theirs = await a.openSession({ capabilities: {} }, as('alice'));
    const ids = await secretIds(a, theirs);
    const own = await a.openSession({}, as(user));
    const foreign = sessionTag(theirs.sessionId ?? '');
    const mine = sessionTag(own.sessionId ?? '');
    let attempts = 0;
    for (const client of [own, b.join(own, as(user))]) {
      for (const id of ids) {
        // As it is, from the stream's beginning, and as a position of the own session.
        for (const lastEventId of [id, id.replace(/-\w+(?=\.|$)/, '-0'), id.replace(foreign, mine)]) {
          const response = await client.get({ lastEventId });
          const body = await everything(response);
          attempts += 1;
          expect([200, 204]).toContain(response.status);
          expect(body).not.toContain(SECRET);
          // An id of the other session comes only where it was sent, and with an error of the call that it names.
          for (const { id: given = '', message } of response.events) {
            const position = parseEventId(given);
            if (position?.tag === mine) continue;
            expect(position).toMatchObject({ tag: foreign, ended: true });
            const { call } = parseEventId(lastEventId) ?? {};
            expect(message).toMatchObject({ id: call, error: { data: { reason: 'answer_not_kept' } } });
          }
        }
      }
    }
    expect(attempts).toBe(18);
    // The other session still has all of it.
    const kept = await theirs.get({ lastEventId: ids[1] });
    await kept.untilEnd();
    expect(kept.body).toContain(SECRET);
  });
});
