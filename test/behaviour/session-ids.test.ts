/** Session ids: as the server makes them, and as clients write them, judged before anything is asked about them. */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab } from '../kit/lab.ts';
import { watchedStore } from '../kit/watched-store.ts';
import { perFace } from '../kit/sessions.ts';
import { failure, NOT_FOUND } from '../kit/refusals.ts';

const refused = (id: number | null, limit: number): unknown =>
  failure(
    id,
    -32000,
    `Bad Request: Mcp-Session-Id must be 1 to ${limit} characters of visible ASCII (0x21-0x7E)`,
  );

const seen = (response: RawResponse): unknown => [response.status, response.json()];

describe.each(perFace)('over $face', ({ serve }) => {
  test('B54 a session id is 16 random bytes in base64url, and no two are alike', async () => {
    const { openSession } = await serve(createLab().factory);
    const ids = new Set<string | undefined>();
    for (let n = 0; n < 20; n++) {
      const one = await openSession();
      ids.add(one.sessionId);
    }
    expect(ids.size).toBe(20);
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{22}$/);
    const bytes = [...ids].map((id) => Buffer.from(id ?? '', 'base64url'));
    expect(bytes.map(({ length }) => length)).toEqual(Array.from({ length: 20 }, () => 16));
    // A counter or a clock in them would show: every byte position takes several values.
    for (let at = 0; at < 16; at++)
      expect(new Set(bytes.map((id) => id[at])).size).toBeGreaterThan(5);
  });

  /** With a store and a migration handler that say what they were asked. */
  const open = async (more: McpEndpointOptions = {}) => {
    const store = watchedStore();
    const asked: string[] = [];
    const served = await serve(createLab().factory, {
      store,
      ...more,
      sessionMigrationHandler: {
        allowSessionMigration: (_request, id) => {
          asked.push(id);
          return null;
        },
      },
    });
    const reads = () =>
      store.calls.filter(({ call }) => call === 'sessions.read').map(({ args }) => args[0]);
    return { ...served, asked, reads };
  };

  test.each([
    ['with a blank', 'a b'],
    ['with a tab', 'a\tb'],
    ['with a letter of Latin-1', 'caf\u00e9'],
    ['of nothing', ''],
    ['twice, as one list', 'one, two'],
    ['of 257 characters', 'x'.repeat(257)],
    ['of 10,000 characters', 'x'.repeat(10_000)],
  ])(
    'B215 an id %s gets 400 from POST, GET and DELETE, and no store is asked',
    async (_, sessionId) => {
      const { client, asked, reads } = await open();
      const one = client();
      const { id, response } = await one.call('ping', {}, { sessionId });
      expect(seen(response)).toEqual([400, refused(id, 256)]);
      expect(seen(await one.notify('notifications/initialized', {}, { sessionId }))).toEqual([
        400,
        refused(null, 256),
      ]);
      expect(seen(await one.get({ sessionId }))).toEqual([400, refused(null, 256)]);
      expect(seen(await one.delete({ sessionId }))).toEqual([400, refused(null, 256)]);
      expect([asked, reads()]).toEqual([[], []]);
    },
  );

  test('B215 every visible character is fine, and 256 of them', async () => {
    const { client, asked, reads } = await open();
    const visible = Array.from({ length: 0x7e - 0x20 }, (_, i) =>
      String.fromCharCode(0x21 + i),
    ).join('');
    for (const sessionId of [visible, 'x'.repeat(256), '!', '~']) {
      expect((await client().call('ping', {}, { sessionId })).response.status).toBe(404);
    }
    expect(asked).toEqual([visible, 'x'.repeat(256), '!', '~']);
    expect(new Set(reads())).toEqual(new Set(asked));
  });

  test('B215 a generator of longer ids moves the bound', async () => {
    const { client, asked } = await open({
      sessionIdGenerator: Object.assign(() => 'x', { maxLength: 4_096 }),
    });
    expect(
      (await client().call('ping', {}, { sessionId: 'x'.repeat(4_096) })).response.status,
    ).toBe(404);
    const { id, response } = await client().call('ping', {}, { sessionId: 'x'.repeat(4_097) });
    expect(seen(response)).toEqual([400, refused(id, 4_096)]);
    expect(asked).toHaveLength(1);
  });

  test('B215 names that mean something to objects are ids like any other', async () => {
    const { client } = await open();
    for (const sessionId of [
      '__proto__',
      'constructor',
      'toString',
      '../../etc/passwd',
      '*',
      '%00',
      "';--",
    ]) {
      const { response } = await client().call('ping', {}, { sessionId });
      expect(seen(response)).toEqual([404, NOT_FOUND]);
    }
  });
});
