import { describe, expect, test } from 'vitest';
import { SignedMessages } from '../../src/cluster/signed-messages.ts';
import { BUILD_VERSION } from '../../src/base/protocol/versions.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { InstanceLease, InstanceMessage, InstanceStore } from '../../src/stores/store.ts';
import { createLog } from '../kit/log.ts';
import { until } from '../kit/until.ts';

const LEASE_MS = 3_000;
const K1 = 'first-key-of-the-deployment-00000';
const K2 = 'second-key-of-the-deployment-0000';

type Receive = (from: string, message: InstanceMessage) => void;

/** A directory that keeps what was sent, as JSON text, until a test delivers it. */
function directoryOf() {
  const sent: { from: string; to: string | null; text: string }[] = [];
  const mailboxes = new Map<string, Receive>();
  const directory = {
    announce: ({ id }: InstanceLease, receive: Receive) => void mailboxes.set(id, receive),
    leave: (id: string) => void mailboxes.delete(id),
    send: (from: string, to: string, message: InstanceMessage) => {
      sent.push({ from, to, text: JSON.stringify(message) });
      return 'sent' as const;
    },
    publish: (from: string, message: InstanceMessage) =>
      void sent.push({ from, to: null, text: JSON.stringify(message) }),
  } as unknown as InstanceStore;
  const deliver = (from: string, to: string, text: string): void =>
    mailboxes.get(to)?.(from, JSON.parse(text) as InstanceMessage);
  return { directory, sent, mailboxes, deliver };
}

const lease = (id: string): InstanceLease => ({ id, state: 'serving', version: BUILD_VERSION });

interface Given {
  readonly keys?: readonly (string | Uint8Array)[];
  readonly secret?: () => Uint8Array;
  readonly deployment?: string;
}

async function instance(id: string, { keys = ['store'], secret, deployment = 'mcp' }: Given = {}) {
  const { directory, ...wire } = directoryOf();
  const time = createFakeTime();
  const read = { secrets: 0 };
  const store = {
    instances: directory,
    secret: async () => {
      read.secrets += 1;
      return secret?.() ?? Buffer.alloc(32, 1);
    },
  };
  const log = createLog();
  const options = {
    deployment,
    secrets: keys,
    leaseMs: LEASE_MS,
    timeProvider: time,
    logger: log,
  };
  const signed = new SignedMessages(store, options);
  const received: { from: string; message: InstanceMessage }[] = [];
  await signed.announce(lease(id), (from, message) => void received.push({ from, message }));
  /** What this instance sends, as it would lie in a mailbox. */
  const written = (to: string | null, message: InstanceMessage): string => {
    if (to === null) void signed.publish(id, message);
    else void signed.send(id, to, message);
    return wire.sent.at(-1)?.text ?? '';
  };
  return { ...wire, id, signed, received, written, log, time, read };
}

const message = {
  kind: 'link',
  v: 1,
  items: [{ t: 'call', text: 'žluťoučký \ud800 "\u2028"', n: 1e21, none: undefined }],
};
const asSent = JSON.parse(JSON.stringify(message)) as InstanceMessage;

test('a message arrives as it was sent, without its signature', async () => {
  const [a, b] = [await instance('a'), await instance('b')];
  b.deliver('a', 'b', a.written('b', message));
  b.deliver('a', 'b', a.written(null, { kind: 'bus', event: { kind: 'tools' } }));
  expect(b.received).toEqual([
    { from: 'a', message: asSent },
    { from: 'a', message: { kind: 'bus', event: { kind: 'tools' } } },
  ]);
  expect(b.log.matching(/was refused/)).toEqual([]);
});

describe('refused and logged, and never answered', () => {
  const changed = (text: string, change: (value: Record<string, unknown>) => void): string => {
    const value = JSON.parse(text) as Record<string, unknown>;
    change(value);
    return JSON.stringify(value);
  };
  const deep = `{"kind":"link","mac":"dAAAA","items":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
  /** `security/forged-messages.test.ts` has messages without a signature, and with an empty one or zeros. */
  const attempts: Record<string, (text: string) => { from?: string; text: string }> = {
    'half of the signature': (text) => ({
      text: changed(text, (value) => (value['mac'] = String(value['mac']).slice(0, 22))),
    }),
    'no object': () => ({ text: 'null' }),
    'a signature that is no text': (text) => ({
      text: changed(text, (value) => (value['mac'] = 7)),
    }),
    'the signature of a message to all': (text) => ({
      text: changed(text, (value) => (value['mac'] = `a${String(value['mac']).slice(1)}`)),
    }),
    'another sender': (text) => ({ from: 'c', text }),
    'another content': (text) => ({ text: changed(text, (value) => (value['v'] = 2)) }),
    'one more member': (text) => ({ text: changed(text, (value) => (value['probe'] = 1)) }),
    'a nested member changed': (text) => ({ text: text.replace('"t":"call"', '"t":"gone"') }),
    'content that is nested too deeply': () => ({ text: deep }),
  };
  test.each(Object.entries(attempts))('%s', async (_, attempt) => {
    const [a, b] = [await instance('a'), await instance('b')];
    const { from = 'a', text } = attempt(a.written('b', message));
    b.deliver(from, 'b', text);
    expect(b.received).toEqual([]);
    expect(b.sent).toEqual([]);
    expect(b.log.matching(/was refused/, 'error').map(({ fields }) => fields)).toEqual([
      { instance: from },
    ]);
  });

  test('a message for another instance, and one of another deployment', async () => {
    const [a, other, b] = [
      await instance('a'),
      await instance('a', { deployment: 'other' }),
      await instance('b'),
    ];
    b.deliver('a', 'b', a.written('c', message));
    b.deliver('a', 'b', other.written('b', message));
    expect(b.received).toEqual([]);
    await b.time.advance(10_000);
    expect(b.log.matching(/was refused/, 'error').map(({ fields }) => fields)).toEqual([
      { instance: 'a' },
      { lines: 1 },
    ]);
  });
});

describe('the keys', () => {
  const passes = async (sender: Given, receiver: Given): Promise<boolean> => {
    const [a, b] = [await instance('a', sender), await instance('b', receiver)];
    b.deliver('a', 'b', a.written('b', message));
    return b.received.length === 1;
  };

  test('the first signs, every key is accepted', async () => {
    expect(await passes({ keys: [K1] }, { keys: [K1] })).toBe(true);
    expect(await passes({ keys: [K1] }, { keys: [K2, K1] })).toBe(true);
    expect(await passes({ keys: [K2, K1] }, { keys: [K1] })).toBe(false);
    expect(await passes({ keys: [K1] }, { keys: [K2] })).toBe(false);
    expect(await passes({ keys: [K1] }, {})).toBe(false);
    expect(await passes({}, { keys: [K1] })).toBe(false);
  });

  test('a key is introduced in three steps, each beside the one before', async () => {
    const steps: Given[] = [{}, { keys: ['store', K1] }, { keys: [K1, 'store'] }, { keys: [K1] }];
    for (const [n, step] of steps.slice(1).entries()) {
      const before = steps[n] ?? {};
      expect(await passes(before, step)).toBe(true);
      expect(await passes(step, before)).toBe(true);
    }
  });

  test("with keys alone the store's secret is not read", async () => {
    expect((await instance('a', { keys: [K1] })).read.secrets).toBe(0);
  });

  test('a store that lost its secret: the new one is read when a signature does not fit, and the message arrives when it is sent again', async () => {
    let secret = Buffer.alloc(32, 1);
    const b = await instance('b', { secret: () => secret });
    const a = await instance('a');
    secret = Buffer.alloc(32, 2);
    const c = await instance('c', { secret: () => secret });
    await b.time.advance(LEASE_MS);
    b.deliver('c', 'b', c.written('b', message));
    await until(() => b.read.secrets === 2);
    b.deliver('c', 'b', c.written('b', message));
    expect(b.received.length).toBe(1);
    // The others may not have read the new one.
    b.deliver('a', 'b', a.written('b', message));
    expect(b.received.length).toBe(2);
    expect(b.log.matching(/was refused/, 'error')).toHaveLength(1);
  });

  test('wrong signatures make an instance read the secret at most once in a lease time', async () => {
    const b = await instance('b');
    const forged = JSON.stringify({ ...message, mac: 'dAAAA' });
    await b.time.advance(LEASE_MS);
    for (let n = 1; n <= 100; n++) b.deliver('a', 'b', forged);
    await until(() => b.read.secrets === 2);
    expect(b.received).toEqual([]);
  });
});
