import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  callEventId,
  callSuffix,
  endedId,
  eventPrefix,
  formatEventId,
  parseCallEventId,
  parseEventId,
  resumedId,
  sessionTag,
} from '../../../src/session/streams/event-id.ts';

const prefix = eventPrefix(sessionTag('session'), 3);
const idOf = (call: string | number | undefined, isTool = false): string =>
  formatEventId(prefix, 'p1_0', 5, callSuffix(call, isTool));

test('an id on the stream of a 2026-07-28 call is none of a session', () => {
  const id = callEventId(7, 'tools/call') ?? '';
  expect(id).toBe('m-1-m-0.N7');
  expect(parseEventId(id)).toBeUndefined();
  expect(parseCallEventId(id)).toMatchObject({
    epoch: 1,
    offset: 0,
    call: 7,
    isTool: true,
    ended: false,
  });
  expect(parseCallEventId(idOf(7))).toBeUndefined();
});

test('the tag of a session is the same in every build', () => {
  expect(['', 'session', 'x'.repeat(128)].map(sessionTag)).toEqual([
    '18q9bdjkryr',
    '1vonb8octkc',
    'ges7w9navn',
  ]);
});

test.each([
  1,
  0,
  -7,
  'a',
  'b5c0-11',
  '',
  ' ',
  'ü',
  '7',
  '\ud800',
  '"',
  '.r1',
  'a'.repeat(64),
  Number.MAX_SAFE_INTEGER,
])('the id of a call is read back: %j', (call) => {
  for (const isTool of [false, true]) {
    expect(parseEventId(idOf(call, isTool))).toMatchObject({ call, isTool });
  }
});

test.each([['a'.repeat(65)], ['ü'.repeat(33)], [1.5], [Infinity]])(
  'an id that is too long, or is no whole number, is left out: %j',
  (call) => expect(callSuffix(call)).toBe(''),
);

test('every id of a call gives an event id of visible ASCII, at most 150 characters, which is read back', () => {
  const tag = sessionTag('x'.repeat(128));
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'binary' }), fc.integer()),
      fc.nat(),
      fc.nat(),
      (call, epoch, offset) => {
        const id = formatEventId(eventPrefix(tag, epoch), 'p1_0', offset, callSuffix(call));
        const position = parseEventId(id);
        const resumed = resumedId(position as NonNullable<typeof position>);
        expect(resumed).toMatch(/^[!-~]{1,150}$/);
        expect([position?.epoch, position?.offset]).toEqual([epoch, offset]);
        expect(parseEventId(resumed)).toEqual({ ...position, resumes: 1 });
      },
    ),
  );
});

describe('a position has one spelling', () => {
  test.each([
    `${prefix}p1_0-05`,
    `0${prefix.slice(1).replace('-', '-0')}p1_0-5`,
    ...['05', '1e3', '-0', '', '7.', 'x'].map((digits) => `${prefix}p1_0-5.n${digits}`),
    ...['7', 'null', '{}', '"', '"\\u0061"', `"${'a'.repeat(65)}"`].map(
      (json) => `${prefix}p1_0-5.T${Buffer.from(json).toString('base64url')}`,
    ),
    // Not UTF-8, and bits that no byte has.
    `${prefix}p1_0-5.tIv8i`,
    `${prefix}p1_0-5.tImEij`,
    `${prefix}p1_0-5.t`,
    `${prefix}p1_0-5.r0`,
    `${prefix}p1_0-5.r01`,
    `${prefix}p1_0-5.r1.e`,
    `${prefix}p1_0-5.r1.n1`,
    `${prefix}p1_0-5 `,
    `${prefix}p1_0-5\n`,
  ])('%j is none', (text) => expect(parseEventId(text)).toBeUndefined());
});

test('each resume has its own number', () => {
  let id = idOf('a');
  for (const n of ['.r1', '.r2', '.r3']) {
    id = resumedId(parseEventId(id) as NonNullable<ReturnType<typeof parseEventId>>);
    expect(id).toBe(idOf('a') + n);
  }
  expect(
    parseEventId(endedId(parseEventId(id) as NonNullable<ReturnType<typeof parseEventId>>))?.ended,
  ).toBe(true);
});
