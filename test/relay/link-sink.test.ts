/** What a sink of a relayed call puts on the link, and when. The link is real; its messages are kept. */
import { expect, test } from 'vitest';
import { CREDIT_BYTES, Link } from '../../src/cluster/instance-link.ts';
import { LINK_VERSION, type LinkMessage, type SentValue } from '../../src/cluster/messages.ts';
import { overMemory } from '../../src/errors.ts';
import { KeepAlive } from '../../src/http/keep-alive.ts';
import type { SinkListener, ResponsePolicy } from '../../src/http/sink.ts';
import { memoryRows } from '../../src/limits/held.ts';
import { LinkSink } from '../../src/relay/link-sink.ts';
import { createFakeTime } from '../../src/testing/index.ts';

const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

function open(): {
  sink: LinkSink;
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
    sink: new LinkSink({
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
  const { sink, policy, items: got } = open();
  sink.sessionId = 's';
  sink.begin(policy);
  sink.point('e-0', 1_000, true);
  expect(got()).toEqual([]);
  await turn();
  const head = [
    ['begin', 'resumed', 's'],
    ['point', 'e-0', 1_000, true],
  ];
  expect(got()).toEqual([head]);
  sink.message('1', 'e-1');
  sink.message('2', 'e-2');
  sink.end();
  await Promise.resolve();
  expect(got()).toEqual([head, [['message', '1', 'e-1'], ['message', '2', 'e-2'], ['end']]]);
  expect([sink.isOpen, sink.lastId]).toEqual([false, 'e-2']);
});

test('a head waits for the first event that the store takes, and no longer', async () => {
  const { sink, policy, items: got } = open();
  const listener: SinkListener & { flushing: boolean } = { flushing: true, sinkClosed: () => undefined };
  sink.listener = listener;
  sink.begin(policy);
  for (let n = 0; n < 3; n++) await turn();
  expect(got()).toEqual([]);
  listener.flushing = false;
  sink.message('1', 'e-1');
  await turn();
  expect(got()).toEqual([
    [
      ['begin', 'resumed', null],
      ['message', '1', 'e-1'],
    ],
  ]);
});

test('what was withdrawn is not sent, and the next attempt begins again', async () => {
  const { sink, policy, items: got } = open();
  const left: unknown[] = [];
  sink.listener = { sinkClosed: (one) => left.push(one) };
  sink.begin(policy);
  sink.message('1', 'e-1');
  sink.withdraw();
  expect([left, sink.hasBegun, sink.lastId]).toEqual([[sink], false, undefined]);
  sink.refuse(overMemory(), 3);
  await turn();
  expect(got()).toMatchObject([[['refuse', { code: 'OVER_MEMORY', status: 503 }, 3, 'error', null]]]);
});

test('what was sent stays, and a response that has begun does not begin again', async () => {
  const { sink, policy, items: got } = open();
  sink.begin(policy);
  await turn();
  sink.withdraw();
  sink.begin({ ...policy, onSession: 'post' });
  sink.end();
  await turn();
  expect(got()).toEqual([[['begin', 'resumed', null]], [['end']]]);
});

test('only a call that ended here is acknowledged', async () => {
  const [ended, moved] = [open(), open()];
  const acknowledged: string[] = [];
  ended.sink.onAcknowledged(() => acknowledged.push('ended'));
  moved.sink.onAcknowledged(() => acknowledged.push('moved'));
  ended.sink.end();
  moved.sink.handOver(true);
  expect([ended.sink.isOpen, moved.sink.isOpen]).toEqual([false, false]);
  await turn();
  for (const { acknowledge } of [ended, moved]) acknowledge();
  expect(acknowledged).toEqual(['ended']);
  expect(moved.items()).toEqual([[['moved', true]]]);
  expect([ended.finished, moved.finished]).toEqual([[1], [1]]);
});

test('a client that left, and a link that failed, end the sink and tell who listens', () => {
  for (const end of ['clientLeft', 'failLink'] as const) {
    const { sink, policy } = open();
    const told: string[] = [];
    sink.listener = { sinkClosed: () => told.push('over') };
    sink.onClose(() => told.push('closed'));
    sink.onAcknowledged(() => told.push('acknowledged'));
    sink.begin(policy);
    sink[end]();
    expect(told).toEqual(['over', 'closed', ...(end === 'clientLeft' ? ['acknowledged'] : [])]);
    expect([sink.isOpen, sink.linkFailed]).toEqual([false, end === 'failLink']);
  }
});

test('a sink whose client left before its stream began ends the reading of that stream', async () => {
  const { sink, policy, items: got } = open();
  sink.clientLeft();
  const told: string[] = [];
  sink.begin(policy);
  sink.listener = { sinkClosed: () => told.push('over') };
  sink.point('e-0', 1_000, true);
  await turn();
  expect(told).toEqual(['over']);
  expect(got()).toEqual([]);
});

test('a sink over a link that takes nothing is cut after the turn that filled it', async () => {
  const { sink, policy, items: got, link } = open();
  sink.begin(policy);
  link.push({ t: 'gone', n: 1 }, 2 * CREDIT_BYTES + 1);
  expect(sink.room()).toBeInstanceOf(Promise);
  sink.message('1');
  await turn();
  sink.message('2');
  await turn();
  sink.message('3');
  await turn();
  expect(got().flat().at(-1)).toEqual(['cut']);
  expect(got().flat()).not.toContainEqual(['message', '3']);
});
