/** What the texts of a session's record mean: every session is read back as it was written. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { answerOf, listChangesOf, NO_ANSWER } from '../../../src/session/record/server-answer.ts';
import { handshakeIn } from '../../../src/session/record/handshake.ts';
import {
  decodeHead,
  decodeSession,
  encodeHead,
  encodeSession,
  fieldName,
  type SessionRecord,
} from '../../../src/session/record/session-record.ts';

const clientInfo = { name: 'client', version: '1' };
const handshake = handshakeIn(
  JSON.stringify({ protocolVersion: '2025-11-25', capabilities: { roots: {} }, clientInfo }),
);

const session = (more: Partial<SessionRecord> = {}): SessionRecord => ({
  id: 's',
  epoch: 3,
  owner: 'me',
  userKey: 'ann',
  version: '2025-11-25',
  initialized: true,
  logLevel: 'warning',
  hibernated: false,
  answer: answerOf('{"capabilities":{"tools":{"listChanged":true},"prompts":{}}}'),
  handshake,
  subscriptions: [],
  state: {},
  createdAt: 1,
  activeAt: 1,
  ...more,
});

/** Subscriptions are fields that are saved later. */
function encoded({ subscriptions, state, ...given }: SessionRecord) {
  const created = encodeSession({ ...given, share: 'user ann' }, given, given, state);
  const uris = Object.fromEntries(subscriptions.map((uri) => [fieldName('u', uri), '1']));
  return { ...created, share: created.share ?? null, fields: { ...created.fields, ...uris } };
}

const readBack = (given: SessionRecord): SessionRecord =>
  decodeSession({ ...encoded(given), expiresAt: null, dueAt: null, rung: 0 });

const text = fc.string({ unit: 'binary', maxLength: 600 });

test('every session is read back, whatever its keys, URIs and level are', () => {
  const any = fc.record({
    subscriptions: fc.uniqueArray(text, { maxLength: 5 }),
    state: fc
      .dictionary(text, fc.json({ maxDepth: 2 }), { maxKeys: 5 })
      .map((state) => ({ ...state })),
    logLevel: fc.option(text),
    initialized: fc.boolean(),
  });
  fc.assert(
    fc.property(any, (members) => {
      const given = session(members);
      const read = readBack(given);
      expect(read.subscriptions.toSorted()).toEqual(given.subscriptions.toSorted());
      expect({ ...read, subscriptions: [] }).toEqual({ ...given, subscriptions: [] });
    }),
  );
});

test.each(['k'.repeat(100_000), 'nul\0', '\ud800', '__proto__', '#', 'u', ''])(
  'a key like %j is kept',
  (key) => {
    const state = Object.fromEntries([[key, '{"a":[1]}']]);
    expect(Object.entries(readBack(session({ state, subscriptions: [key] })).state)).toEqual(
      Object.entries(state),
    );
    expect(readBack(session({ subscriptions: [key] })).subscriptions).toEqual([key]);
  },
);

test('no text has a character that a database lacks', () => {
  const keys = ['nul\0', '\ud800'];
  const state = Object.fromEntries(keys.map((key) => [key, '1']));
  const { head, body, fields } = encoded(
    session({ state, subscriptions: keys, logLevel: '\0\ud800' }),
  );
  expect(Object.keys(fields)).toHaveLength(2 * keys.length);
  for (const one of [head, body, ...Object.keys(fields), ...Object.values(fields)])
    expect(one).not.toMatch(/\0|\p{Surrogate}/u);
});

test.each([true, false])('a head is read back: hibernated %s', (hibernated) => {
  const head = { version: '2025-11-25', initialized: true, logLevel: null, answer: NO_ANSWER };
  expect(decodeHead(encodeHead(head, hibernated))).toEqual({ ...head, hibernated });
});

test('the answer to initialize is known by what it announces and a hash of its text', () => {
  const json =
    '{"capabilities":{"resources":{"listChanged":true},"tools":{"listChanged":true}},"instructions":"a"}';
  const answer = answerOf(json);
  expect(answer).toMatch(/^tools resources [\w-]{12}$/);
  expect(listChangesOf(answer)).toEqual([
    'notifications/tools/list_changed',
    'notifications/resources/list_changed',
  ]);
  expect(answerOf(json.replace('"a"', '"b"'))).not.toBe(answer);
});
