/** What a reader of a relayed call puts on the link, and when. The link is real; its messages are kept. */
import { expect, test } from 'vitest';
import { CREDIT_BYTES, Link } from '../../src/cluster/link.ts';
import { LINK_VERSION, type LinkMessage, type SentValue } from '../../src/cluster/messages.ts';
import { overMemory } from '../../src/errors.ts';
import { KeepAlive } from '../../src/http/keep-alive.ts';
import type { ReaderListener, ResponsePolicy } from '../../src/http/reader.ts';
import { memoryRows } from '../../src/limits/held.ts';
import { LinkReader } from '../../src/relay/link-reader.ts';
import { createFakeTime } from '../../src/testing/index.ts';

const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

function open(): {
  reader: LinkReader;
  policy: ResponsePolicy;
  /** The values of each item. */
  items: () => ReadonlyArray<readonly SentValue[]>;
  acknowledge(): void;
  finished: number[];
  link: Link;
} {
  const time = createFakeTime();
  const sent: LinkMessage[] = [];
  const finished: number[] = [];
  const link = new Link({
    peer: 'b',
    time,
    leaseMs: 3_000,
    patienceMs: 6_000,
    send: (message) => sent.push(message),
    receive: () => undefined,
    onDoubt: () => undefined,
  });
  return {
    reader: new LinkReader({
      link,
      n: 7,
      memory: memoryRows(2 ** 20).bodies,
      client: { user: undefined, clientAddress: undefined },
      report: () => undefined,
      finished: () => finished.push(1),
    }),
    policy: { onSession: 'resumed', form: 'events', keepAlive: new KeepAlive(time, Infinity), bufferBytes: 10 },
    items: () => sent.flatMap(({ items }) => items.flatMap((item) => (item.t === 'answer' ? [item.values] : []))),
    acknowledge: () => link.receive({ kind: 'link', v: LINK_VERSION, to: 'a', first: 0, items: [], ack: items(sent) }),
    finished,
    link,
  };
}

const items = (sent: readonly LinkMessage[]): number =>
  sent.reduce((most, message) => Math.max(most, message.first + message.items.length), 0);

test('the values of one turn are one item, and the end leaves at once', async () => {
  const { reader, policy, items: got } = open();
  reader.sessionId = 's';
  reader.begin(policy);
  reader.point('e-0', 1_000, true);
  expect(got()).toEqual([]);
  await turn();
  const head = [
    ['begin', 'resumed', 's'],
    ['point', 'e-0', 1_000, true],
  ];
  expect(got()).toEqual([head]);
  reader.message('1', 'e-1');
  reader.message('2', 'e-2');
  reader.end();
  await Promise.resolve();
  expect(got()).toEqual([head, [['message', '1', 'e-1'], ['message', '2', 'e-2'], ['end']]]);
  expect([reader.isOpen, reader.lastId]).toEqual([false, 'e-2']);
});

test('a head waits for the first event that the store takes, and no longer', async () => {
  const { reader, policy, items: got } = open();
  const listener: ReaderListener & { flushing: boolean } = { flushing: true, over: () => undefined };
  reader.listener = listener;
  reader.begin(policy);
  for (let n = 0; n < 3; n++) await turn();
  expect(got()).toEqual([]);
  listener.flushing = false;
  reader.message('1', 'e-1');
  await turn();
  expect(got()).toEqual([
    [
      ['begin', 'resumed', null],
      ['message', '1', 'e-1'],
    ],
  ]);
});

test('what was withdrawn is not sent, and the next attempt begins again', async () => {
  const { reader, policy, items: got } = open();
  const left: unknown[] = [];
  reader.listener = { over: (one) => left.push(one) };
  reader.begin(policy);
  reader.message('1', 'e-1');
  reader.withdraw();
  expect([left, reader.hasBegun, reader.lastId]).toEqual([[reader], false, undefined]);
  reader.refuse(overMemory(), 3);
  await turn();
  expect(got()).toMatchObject([[['refuse', { code: 'OVER_MEMORY', status: 503 }, 3, 'error', null]]]);
});

test('what was sent stays, and a response that has begun does not begin again', async () => {
  const { reader, policy, items: got } = open();
  reader.begin(policy);
  await turn();
  reader.withdraw();
  reader.begin({ ...policy, onSession: 'post' });
  reader.end();
  await turn();
  expect(got()).toEqual([[['begin', 'resumed', null]], [['end']]]);
});

test('only a call that ended here is acknowledged', async () => {
  const [ended, moved] = [open(), open()];
  const acknowledged: string[] = [];
  ended.reader.onAcknowledged(() => acknowledged.push('ended'));
  moved.reader.onAcknowledged(() => acknowledged.push('moved'));
  ended.reader.end();
  moved.reader.moved(true);
  expect([ended.reader.isOpen, moved.reader.isOpen]).toEqual([false, false]);
  await turn();
  for (const { acknowledge } of [ended, moved]) acknowledge();
  expect(acknowledged).toEqual(['ended']);
  expect(moved.items()).toEqual([[['moved', true]]]);
  expect([ended.finished, moved.finished]).toEqual([[1], [1]]);
});

test('a client that left, and a link that failed, end the reader and tell who listens', () => {
  for (const end of ['clientLeft', 'failLink'] as const) {
    const { reader, policy } = open();
    const told: string[] = [];
    reader.listener = { over: () => told.push('over') };
    reader.onClose(() => told.push('closed'));
    reader.onAcknowledged(() => told.push('acknowledged'));
    reader.begin(policy);
    reader[end]();
    expect(told).toEqual(['over', 'closed', ...(end === 'clientLeft' ? ['acknowledged'] : [])]);
    expect([reader.isOpen, reader.linkFailed]).toEqual([false, end === 'failLink']);
  }
});

test('a reader whose client left before its stream began ends the reading of that stream', async () => {
  const { reader, policy, items: got } = open();
  reader.clientLeft();
  const told: string[] = [];
  reader.begin(policy);
  reader.listener = { over: () => told.push('over') };
  reader.point('e-0', 1_000, true);
  await turn();
  expect(told).toEqual(['over']);
  expect(got()).toEqual([]);
});

test('a reader over a link that takes nothing is cut after the turn that filled it', async () => {
  const { reader, policy, items: got, link } = open();
  reader.begin(policy);
  link.push({ t: 'gone', n: 1 }, 2 * CREDIT_BYTES + 1);
  expect(reader.room()).toBeInstanceOf(Promise);
  reader.message('1');
  await turn();
  reader.message('2');
  await turn();
  reader.message('3');
  await turn();
  expect(got().flat().at(-1)).toEqual(['cut']);
  expect(got().flat()).not.toContainEqual(['message', '3']);
});
