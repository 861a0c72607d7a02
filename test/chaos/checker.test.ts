/** The judge of chaos runs, on made-up histories: each holds one thing that must not happen. */
import { describe, expect, test } from 'vitest';
import { answerNotKept, rpcError } from '../../src/errors.ts';
import { check, type Circumstances } from './checker.ts';
import type { Ran, Wrote } from './effects.ts';
import { type Call, type Ending, History, type Story, type Violation } from './history.ts';
import { isServed, note } from './messages.ts';
import { formatEventId, eventPrefix, sessionTag } from '../../src/session/streams/event-id.ts';

/** A history, written step by step. */
class Tale {
  readonly history = new History();
  readonly ran: Ran[] = [];
  readonly wrote: Wrote[] = [];
  readonly freezes: Array<{ start: string; from: number; until: number }> = [];
  readonly struck = new Set<string>();
  #runs = 0;

  session(version = '2025-11-25'): Story {
    const { history } = this;
    const n = history.stories.length;
    const [id, client, prefix] = [`session-${n}`, `raw${n}`, `raw${n}.1`];
    return history.open({ id, client, user: client, version, prefix, owner: 'a.1' });
  }

  /** A call, with a run of its tool where `by` says on which start. */
  call(story: Story, tool: string, ending: Ending | undefined, { at = 1, by = ['a.1'], steps = 0 } = {}): Call {
    const nonce = `${story.prefix}:${this.history.calls.size}`;
    const call = this.history.call({ client: story.client, tool, nonce, steps, ms: 0, story });
    Object.assign(call, { sentAt: at, attemptAt: at, endedAt: ending === undefined ? Infinity : at + 1, ending });
    for (const start of by) this.run(call, start, at);
    return call;
  }

  run({ nonce, tool, story }: Call, by: string, at = 1): Ran {
    const ran: Ran = { event: 'ran', at, by, tool, nonce, session: story?.id, run: `${by}/${(this.#runs += 1)}` };
    this.ran.push(ran);
    return ran;
  }

  write(story: Story, by: string, at: number, outcome: { value: number } | { error: string }, run = 'none'): void {
    const nonce = `${story.prefix}:w`;
    this.wrote.push({ event: 'wrote', at, from: at - 0.5, by, nonce, session: story.id, run, ...outcome });
  }

  /** What is found, each kind once. */
  judged(): Violation[] {
    const { history, ran, wrote, freezes, struck } = this;
    const absenceOf: Circumstances['absenceOf'] = (start) => (struck.has(start) ? { kind: 'killed' } : undefined);
    check(history, { ran, wrote }, { absenceOf, freezes });
    return [...new Set(history.found.map(({ violation }) => violation))];
  }
}

const result = (value: unknown, run = 'a.1/1'): Ending => ({ kind: 'result', value, by: 'a.1', run });
const ownerLost = (mayHaveRun: unknown): Ending => {
  return { kind: 'error', code: -32000, message: 'gone', reason: 'owner_lost', mayHaveRun };
};

const idOf = (session: string, epoch: number, offset: number, suffix?: string): string =>
  formatEventId(eventPrefix(sessionTag(session), epoch), 'g', offset, suffix);

/** Of an event on the stream of the call 7. */
const callId = (session: string): string => formatEventId(eventPrefix(sessionTag(session), 1), 'p1x0', 3, '.i7');

const refusal = (id: number): string => JSON.stringify({ jsonrpc: '2.0', error: rpcError(answerNotKept()), id });

const UNCALLED = { event: 'ran', at: 1, by: 'a.1', tool: 'effect', nonce: 'intruder', run: 'a.1/9' } as const;

type Tell = (tale: Tale) => void;

/** One call, whose tool ran once if nothing else is said. */
const calls =
  (tool: string, ending: Ending | undefined, given?: Parameters<Tale['call']>[3]): Tell =>
  (tale) =>
    void tale.call(tale.session(), tool, ending, given);

/** Writes of a counter: who wrote, and the number that it gave. */
const counts =
  (...writes: ReadonlyArray<readonly [by: string, value: number]>): Tell =>
  (tale) => {
    const story = tale.session();
    for (const [n, [by, value]] of writes.entries()) tale.write(story, by, n + 1, { value });
  };

/** Progress of one call that was lost. */
const progress =
  (...numbers: readonly number[]): Tell =>
  (tale) => {
    const call = tale.call(tale.session(), 'slow', ownerLost(true));
    for (const n of numbers) call.progress.push({ run: 'a.1/1', n, own: true });
  };

const pushes =
  (...numbers: readonly number[]): Tell =>
  (tale) =>
    void tale.session().pushed.push(...numbers.map((n) => ({ nonce: `p${n}`, server: 'a', n })));

/** Events of one session's stream: epoch and offset of each. */
const events =
  (...all: ReadonlyArray<readonly [epoch: number, offset: number]>): Tell =>
  (tale) => {
    const { streams, id } = tale.session();
    for (const [epoch, offset] of all) streams.take(idOf(id, epoch, offset), '{}');
  };

const refused = (reason: string): Ending => ({ kind: 'error', code: -32001, message: '', reason, mayHaveRun: true });

/** Each tells one tale and is found guilty of one thing. */
const crimes: Array<[what: string, violation: Violation, tell: Tell]> = [
  ['a tool that ran twice', 'double', calls('effect', ownerLost(true), { by: ['a.1', 'b.1'] })],
  [
    'a result of a tool that never ran',
    'untrue',
    (tale) => {
      const call = tale.call(tale.session(), 'effect', undefined, { by: [] });
      call.ending = result(call.nonce);
    },
  ],
  ['a run that no client called', 'letIn', (tale) => void tale.ran.push({ ...UNCALLED, session: tale.session().id })],
  ['a run behind "it did not run"', 'untrue', calls('effect', ownerLost(false))],
  ['a run behind a 503', 'untrue', calls('effect', { kind: 'refused', status: 503, text: '' })],
  ['an error that does not tell whether it ran', 'untrue', calls('effect', ownerLost(undefined))],
  ["another call's answer", 'wrong', calls('ask', result('raw7.1:1'))],
  ['a call without an end', 'hung', calls('effect', undefined)],
  ['a stream that ended without an answer', 'silent', calls('effect', { kind: 'silent', instance: 'a.1' })],
  ['a client exception', 'unexplained', calls('effect', { kind: 'exception', text: 'TypeError' })],
  ['a stream that is unknown by now', 'unresumable', calls('effect', { kind: 'unresumable', status: 400, text: '' })],
  ['a connection that broke though no instance had a fault', 'broken', (tale) => tale.history.broke('effect', 'a.1')],
  ['a counter that gave a number twice', 'lostWrite', counts(['a.1', 1], ['a.1', 1])],
  ['a counter that went back', 'lostWrite', counts(['a.1', 1], ['a.1', 2], ['a.1', 3], ['a.1', 0])],
  [
    'an answer that shows less than an earlier one',
    'lostWrite',
    (tale) => {
      const story = tale.session();
      tale.call(story, 'count', result(5), { at: 1 });
      tale.call(story, 'peek', result(4), { at: 10 });
    },
  ],
  ['two instances that gave the same number', 'staleWrite', counts(['b.1', 1], ['a.1', 1])],
  [
    'a write that a frozen owner made when it woke',
    'staleWrite',
    (tale) => {
      const story = tale.session();
      const { run } = tale.run(tale.call(story, 'count', ownerLost(true), { by: [] }), 'a.1', 1);
      tale.freezes.push({ start: 'a.1', from: 2, until: 10 });
      tale.write(story, 'b.1', 5, { value: 1 });
      tale.write(story, 'a.1', 11, { value: 2 }, run);
    },
  ],
  ['progress that came twice', 'twice', progress(1, 2, 2)],
  ['progress with a hole', 'missing', progress(1, 3)],
  ['progress out of order on its stream', 'unordered', progress(1, 3, 2)],
  [
    'an answer before the last of the progress',
    'missing',
    (tale) => {
      const call = tale.call(tale.session(), 'slow', undefined, { steps: 2 });
      call.ending = result(call.nonce);
      call.progress.push({ run: 'a.1/1', n: 1, own: true });
    },
  ],
  ['a push with a hole before it', 'missing', pushes(1, 3)],
  ['a push that came twice', 'twice', pushes(1, 1)],
  ['pushes out of order', 'unordered', pushes(2, 1)],
  [
    'a push that was answered and never came',
    'missing',
    (tale) => {
      const story = tale.session();
      story.listensFrom = 0;
      const call = tale.call(story, 'push', undefined);
      call.ending = result(call.nonce);
    },
  ],
  ['an event that came twice', 'twice', events([1, 1], [1, 1])],
  ['an event of an owner before the present one', 'staleWrite', events([2, 1], [1, 2])],
  ["an event of another session's stream", 'foreign', (tale) => tale.session().streams.take(idOf('another', 1, 0), '')],
  [
    "a payload of another session's",
    'foreign',
    (tale) => {
      const story = tale.session();
      const payload = '{"method":"notifications/message","params":{"data":{"nonce":"raw9.1:4"}}}';
      note(tale.history, story, story.prefix, payload, false);
    },
  ],
  [
    'an end of a stream that is no refusal',
    'twice',
    (tale) => {
      const { streams, id } = tale.session();
      streams.take(callId(id), '{}');
      streams.take(`${callId(id)}.e`, refusal(8));
    },
  ],
  ['404 for a session that no client ended', 'lost', (tale) => tale.history.notFound(tale.session(), 'ping')],
  [
    'a call that was answered with an unknown session, though no client ended it',
    'lost',
    calls('effect', refused('session_not_found')),
  ],
];

describe('the checker of chaos runs finds', () => {
  test.each(crimes)('%s', (_, violation, tell) => {
    const tale = new Tale();
    tell(tale);
    expect(tale.judged()).toEqual([violation]);
  });
});

test('the checker of chaos runs finds nothing in a run in which an owner was lost and everybody was told', () => {
  const tale = new Tale();
  const story = tale.session();
  const { streams, id } = story;
  for (const offset of [0, 1]) streams.take(idOf(id, 1, offset), offset === 0 ? '' : '{}');
  // A reader that comes back gets its position; the next owner continues.
  streams.take(idOf(id, 2, 1), '');
  streams.take(idOf(id, 2, 2), '{}');
  // A call whose answer is not kept ends at the position that its client came back with.
  streams.take(callId(id), '{}');
  streams.take(`${callId(id)}.e`, refusal(7));
  tale.call(story, 'effect', ownerLost(true));
  tale.call(story, 'effect', { kind: 'refused', status: 503, text: '' }, { by: [] });
  const again = tale.call(story, 'slow', undefined, { by: ['a.1', 'b.1'], steps: 2 });
  again.ending = result(again.nonce, 'b.1/9');
  for (const [run, n] of [
    ['a.1/2', 1],
    ['b.1/9', 1],
    ['b.1/9', 2],
  ] as const)
    again.progress.push({ run, n, own: true });
  tale.call(story, 'count', result(1), { at: 5 });
  tale.write(story, 'a.1', 5.5, { value: 1 });
  tale.call(story, 'peek', result(1), { at: 8 });
  story.pushed.push(
    { nonce: 'p4', server: 'a', n: 4 },
    { nonce: 'p5', server: 'a', n: 5 },
    { nonce: 'q1', server: 'b', n: 1 },
  );
  tale.struck.add('a.1');
  tale.history.broke('effect', 'a.1');
  tale.call(story, 'effect', { kind: 'cut', instance: 'a.1' });
  expect(tale.judged()).toEqual([]);
});

test.each([
  ['an error', '{"error":{}}', false],
  ['an error as a result', '{"result":{"isError":true}}', false],
  ['a result', '{"result":{}}', true],
  ['a notification', '{"method":"notifications/message"}', true],
])('a client that must be refused may not hear a message other than errors: %s', (_, text, served) => {
  expect(isServed({ sse: false, events: [], body: text })).toBe(served);
  expect(
    isServed({ sse: true, events: [{ comment: 'keepalive' }, { id: '1', data: '' }, { data: text }], body: '' }),
  ).toBe(served);
});
