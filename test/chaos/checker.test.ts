/** The judge of runs, on made-up ledgers: each holds one thing that must not happen. */
import { describe, expect, test } from 'vitest';
import { answerNotKept, rpcError } from '../../src/base/errors.ts';
import { eventPrefix, formatEventId, sessionTag } from '../../src/session/streams/event-id.ts';
import { notFound } from '../simulation/client-world.ts';
import { SimClient } from '../simulation/client.ts';
import type { Call, Ending, SessionStory } from '../simulation/ledger.ts';
import { Random } from '../simulation/random.ts';
import { type Circumstances, judge } from './checker.ts';
import type { LiveRan, Trespassed, Wrote } from './effects.ts';
import { LiveWorld } from './live-world.ts';

/** A run, written step by step. */
class Tale {
  readonly world = new LiveWorld();
  readonly ran: LiveRan[] = [];
  readonly wrote: Wrote[] = [];
  readonly trespassed: Trespassed[] = [];
  readonly freezes: Array<{ start: string; from: number; until: number }> = [];
  readonly struck = new Set<string>();

  session(version = '2025-11-25'): SessionStory {
    const { sessions } = this.world.ledger;
    const id = `session-${sessions.size}`;
    const times = {
      activeAt: 0,
      deleteSentAt: undefined,
      deletedAt: undefined,
      notFoundAt: undefined,
    };
    const story = {
      id,
      client: 'raw0',
      version,
      readers: 0,
      prefix: `raw0.${sessions.size}:`,
      ...times,
    };
    sessions.set(id, story);
    return story;
  }

  /** A call, with a run of its tool where `by` says on which start. */
  call(
    story: SessionStory,
    tool: string,
    ending: Ending | undefined,
    { at = 1, by = ['a.1'] } = {},
  ): Call {
    const { calls } = this.world.ledger;
    const call: Call = {
      client: story.client,
      session: story.id,
      method: 'tools/call',
      tool,
      nonce: `${story.prefix}${calls.length}`,
      id: calls.length,
      sentAt: at,
      attemptAt: at,
      ms: 0,
      arrivedAt: undefined,
      held: false,
      acceptedAt: undefined,
      ending: ending?.kind === 'result' && ending.value === undefined ? undefined : ending,
    };
    if (ending?.kind === 'result' && ending.value === undefined)
      call.ending = { ...ending, value: call.nonce };
    calls.push(call);
    for (const start of by) this.run(call, start, at);
    return call;
  }

  run({ nonce, tool = '', session }: Call, instance: string, at = 1): LiveRan {
    const run = `${instance}/${this.ran.length}`;
    const ran = {
      event: 'ran',
      at,
      instance,
      tool,
      nonce,
      session,
      run,
      copy: 0,
      endedAt: undefined,
    } as const;
    this.ran.push(ran);
    return ran;
  }

  write(
    { id, prefix }: SessionStory,
    instance: string,
    at: number,
    value: number,
    run = 'none',
  ): void {
    this.wrote.push({
      event: 'wrote',
      at,
      from: at - 0.5,
      instance,
      nonce: `${prefix}w`,
      session: id,
      run,
      value,
    });
  }

  /** An event, or a message without an id. `reader`: the call that read it, or `GET`. */
  gets({ id: session }: SessionStory, reader: string, data: object | '', id?: string): void {
    const text = data === '' ? '' : JSON.stringify(data);
    this.world.ledger.received.push({ at: 1, storeNow: 1, session, reader, id, data: text });
  }

  progress(call: Call, run: string, ...numbers: readonly number[]): void {
    for (const progress of numbers) {
      const params = { message: `${call.nonce} ${run}`, progress };
      this.gets({ id: call.session } as SessionStory, call.nonce, {
        method: 'notifications/progress',
        params,
      });
    }
  }

  pushes(story: SessionStory, ...numbers: readonly number[]): void {
    for (const n of numbers) {
      const params = { uri: `sim://p${n}`, _meta: { server: 'a', n } };
      this.gets(story, 'GET', { method: 'notifications/resources/updated', params });
    }
  }

  judged(): string[] {
    const { world, ran, wrote, trespassed, freezes, struck } = this;
    const absenceOf: Circumstances['absenceOf'] = (start) =>
      struck.has(start) ? { kind: 'killed' } : undefined;
    return judge(world, { ran, wrote, trespassed }, { absenceOf, freezes });
  }
}

/** Without a value: the answer that its call must get. */
const result = (value?: unknown, at = 2): Ending => ({ kind: 'result', at, value, run: 'a.1/0' });
const error = (reason: string | undefined, mayHaveRun?: unknown): Ending => {
  return { kind: 'error', at: 2, message: 'gone', reason, mayHaveRun };
};
const ownerLost = (mayHaveRun: unknown): Ending => error('owner_lost', mayHaveRun);

const idOf = (session: string, epoch: number, offset: number): string =>
  formatEventId(eventPrefix(sessionTag(session), epoch), 'g', offset);

/** Of an event on the stream of the call 7. */
const callId = (session: string): string =>
  formatEventId(eventPrefix(sessionTag(session), 1), 'p1_0', 3, '.n7');
const refusal = (id: number): object => ({ jsonrpc: '2.0', error: rpcError(answerNotKept()), id });

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
    for (const [n, [by, value]] of writes.entries()) tale.write(story, by, n + 1, value);
  };

/** Progress of one call that was lost. */
const progress =
  (...numbers: readonly number[]): Tell =>
  (tale) =>
    tale.progress(tale.call(tale.session(), 'slow', ownerLost(true)), 'a.1/0', ...numbers);

const pushes =
  (...numbers: readonly number[]): Tell =>
  (tale) =>
    tale.pushes(tale.session(), ...numbers);

/** Events of one session's stream: epoch and offset of each. */
const events =
  (...all: ReadonlyArray<readonly [epoch: number, offset: number]>): Tell =>
  (tale) => {
    const story = tale.session();
    for (const [epoch, offset] of all) tale.gets(story, 'GET', {}, idOf(story.id, epoch, offset));
  };

/** Each tells one tale and is found guilty of one thing. The ablations of `test/simulation` have others. */
const crimes: Array<[what: string, found: RegExp, tell: Tell]> = [
  [
    'a result of a tool that never ran',
    /^has a result and never ran/,
    calls('effect', result(), { by: [] }),
  ],
  [
    'a run that no client called',
    /^ran, and no client called it/,
    (tale) => void tale.run({ nonce: 'intruder', session: tale.session().id } as Call, 'a.1'),
  ],
  [
    'a run behind "it did not run"',
    /^was told that it did not run/,
    calls('effect', ownerLost(false)),
  ],
  [
    'a run behind a 503',
    /^was told that it did not run/,
    calls('effect', { kind: 'given-up', at: 2 }),
  ],
  [
    'an error that does not tell whether it ran',
    /^was not told/,
    calls('effect', ownerLost(undefined)),
  ],
  ['an error without a reason', /without a reason/, calls('effect', error(undefined, true))],
  [
    'a stream that ended without an answer',
    /^ended without an answer/,
    calls('effect', { kind: 'silent', at: 2 }),
  ],
  ['a client exception', /^threw/, calls('effect', { kind: 'threw', at: 2, text: 'TypeError' })],
  [
    'a stream that is unknown by now',
    /^lost its stream/,
    calls('effect', { kind: 'no-stream', at: 2, status: 400, body: '' }),
  ],
  [
    'a connection that broke though no instance had a fault',
    /^broke without a reason/,
    ({ world }) => void world.broken.push({ at: 1, what: 'effect', instance: 'a.1' }),
  ],
  ['a counter that gave a number twice', /wrote 1 twice/, counts(['a.1', 1], ['a.1', 1])],
  [
    'a counter that went back',
    /^a write is lost/,
    counts(['a.1', 1], ['a.1', 2], ['a.1', 3], ['a.1', 0]),
  ],
  ['two instances that gave the same number', /wrote 1 twice/, counts(['b.1', 1], ['a.1', 1])],
  [
    'a write that a frozen owner made when it woke',
    /^written by a frozen owner/,
    (tale) => {
      const story = tale.session();
      const { run } = tale.run(tale.call(story, 'count', ownerLost(true), { by: [] }), 'a.1', 1);
      tale.freezes.push({ start: 'a.1', from: 2, until: 10 });
      tale.write(story, 'b.1', 5, 1);
      tale.write(story, 'a.1', 11, 2, run);
    },
  ],
  ['progress that came twice', /^came twice/, progress(1, 2, 2)],
  ['progress with a hole', /^missing/, progress(1, 3)],
  ['progress out of order on its stream', /^out of order/, progress(1, 3, 2)],
  [
    'an answer before the last of the progress',
    /^missing/,
    (tale) => tale.progress(tale.call(tale.session(), 'slow', result()), 'a.1/0', 1, 2, 3, 4),
  ],
  ['a push with a hole before it', /^missing/, pushes(1, 3)],
  ['a push that came twice', /^came twice/, pushes(1, 1)],
  ['pushes out of order', /^out of order/, pushes(2, 1)],
  [
    'a push that was answered and never came',
    /^missing/,
    (tale) => {
      const story = tale.session();
      tale.gets(story, 'GET', '', idOf(story.id, 1, 0));
      tale.call(story, 'push', result());
    },
  ],
  ['an event that came twice', /came after event 1/, events([1, 1], [1, 1])],
  ['an event of an owner before the present one', /came after epoch 2/, events([2, 1], [1, 2])],
  [
    "an event of another session's stream",
    /^an event id that is none of/,
    (tale) => tale.gets(tale.session(), 'GET', '', idOf('another', 1, 0)),
  ],
  [
    'an end of a stream that is no refusal',
    /^a stream ended with/,
    (tale) => {
      const story = tale.session();
      tale.gets(story, 'GET', {}, callId(story.id));
      tale.gets(story, 'GET', refusal(8), `${callId(story.id)}.e`);
    },
  ],
  [
    '404 for a session that no client ended',
    /404 for session/,
    (tale) => notFound(tale.world, tale.session()),
  ],
  [
    'a notification of another user that was delivered',
    /^was delivered to session-0/,
    (tale) =>
      void tale.trespassed.push({
        event: 'trespassed',
        at: 1,
        instance: 'a.1',
        session: tale.session().id,
      }),
  ],
  [
    "a payload of another session's",
    /was sent/,
    (tale) => {
      const options = {
        world: tale.world,
        name: 'raw0',
        random: new Random(1),
        version: '2025-11-25',
      };
      const data = '{"method":"notifications/message","params":{"data":"raw9.1:4"}}';
      new SimClient(options).event(tale.session(), 'GET', () => undefined)({ id: undefined, data });
    },
  ],
];

describe('the judge of chaos runs finds', () => {
  test.each(crimes)('%s', (_, found, tell) => {
    const tale = new Tale();
    tell(tale);
    expect(tale.judged()).toEqual([expect.stringMatching(found)]);
  });
});

test('the judge of chaos runs finds nothing in a run in which an owner was lost and everybody was told', () => {
  const tale = new Tale();
  const story = tale.session();
  const { id } = story;
  tale.gets(story, 'GET', '', idOf(id, 1, 0));
  tale.gets(story, 'GET', {}, idOf(id, 1, 1));
  // A reader that comes back gets its position; the next owner continues.
  tale.gets(story, 'GET', '', idOf(id, 2, 1));
  tale.gets(story, 'GET', {}, idOf(id, 2, 2));
  // A call whose answer is not kept ends at the position that its client came back with.
  tale.gets(story, 'raw0.0:9', {}, callId(id));
  tale.gets(story, 'raw0.0:9', refusal(7), `${callId(id)}.e`);
  tale.call(story, 'effect', ownerLost(true));
  tale.call(story, 'effect', { kind: 'given-up', at: 2 }, { by: [] });
  const again = tale.call(story, 'slow', undefined, { by: ['a.1', 'b.1'] });
  const [first = '', second = ''] = tale.ran.slice(-2).map(({ run }) => run);
  again.ending = { kind: 'result', at: 2, value: again.nonce, run: second };
  tale.progress(again, first, 1);
  tale.progress(again, second, 1, 2, 3, 4, 5);
  tale.call(story, 'count', result(1, 6), { at: 5 });
  tale.write(story, 'a.1', 5.5, 1);
  tale.call(story, 'peek', result(1, 9), { at: 8 });
  tale.pushes(story, 4, 5);
  tale.struck.add('a.1');
  tale.world.broken.push({ at: 1, what: 'effect', instance: 'a.1' });
  tale.call(story, 'effect', { kind: 'cut', at: 2 });
  expect(tale.judged()).toEqual([]);
});
