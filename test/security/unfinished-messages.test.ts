/**
 * A client of the NATS server sends first parts of large messages to a mailbox and never the rest. Parts are kept until
 * their message is whole, and only then its signature can be checked.
 */
import { headers } from '@nats-io/transport-node';
import { expect, test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import { INCOMPLETE_BYTES, Joiner } from '../../src/stores/nats/parts.ts';
import type { InstanceMessage } from '../../src/stores/store.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { connectTo, newPrefix, openView } from '../stores/nats-views.ts';
import { countAttempts } from './attempts.ts';

const counted = countAttempts('messages and stores');
const PART_BYTES = 500_000;
const PARTS = 600;
const MIB = 1_048_576;

const held = (): number => process.memoryUsage().arrayBuffers;

describeWithServer('nats', 'unfinished messages', (server) => {
  test('of endless senders, or of one endless message, hold a bounded part of the memory', async () => {
    const prefix = newPrefix();
    const view = await openView(nats(server().url, { prefix }), { name: 'victim' });
    const received: InstanceMessage[] = [];
    await view.instances.announce({ id: 'me', state: 'serving', version: '1' }, (_, message) => {
      received.push(message);
    });
    const attacker = await connectTo(server().url);
    const subject = `${prefix}.mail.victim.me`;
    const body = new Uint8Array(PART_BYTES);
    const before = held();
    let most = 0;
    const flood = async (partOf: (n: number) => string): Promise<void> => {
      for (let n = 0; n < PARTS; n++) {
        const part = headers();
        part.set('Sojourn-Part', partOf(n));
        attacker.publish(subject, body, { headers: part });
        if (n % 20 !== 19) continue;
        await attacker.flush();
        // What was sent before has arrived.
        received.length = 0;
        await view.instances.send('other', 'me', { kind: 'mark' });
        await until(() => received.length === 1);
        most = Math.max(most, held() - before);
      }
    };
    await flood((n) => `sender${n}/0 0 1000000`);
    await flood((n) => `sender/0 ${n} 1000000`);
    counted.made(2 * PARTS);
    // What the collector has not freed yet comes on top: the parts that were sent are 300 MB each time.
    expect(most).toBeLessThan(3 * INCOMPLETE_BYTES);
    const large = { kind: 'large', text: 'x'.repeat(5 * MIB) };
    received.length = 0;
    await view.instances.send('other', 'me', large);
    await until(() => received.length === 1);
    expect(received).toEqual([large]);
  }, 60_000);
});

test('the message that has waited longest for a part is dropped first', () => {
  const joiner = new Joiner();
  const part = new Uint8Array(INCOMPLETE_BYTES / 4);
  const first = (sender: string) => joiner.add(`${sender}/1 0 2`, part);
  for (const sender of ['a', 'b', 'c', 'd']) expect(first(sender)).toBeUndefined();
  // `d` did not fit beside the other three: `a` is gone.
  expect(joiner.add('a/1 1 2', part)).toBeUndefined();
  for (const sender of ['b', 'c', 'd']) expect(joiner.add(`${sender}/1 1 2`, part)?.length).toBe(2 * part.length);
});

test('a header that no instance writes is dropped', () => {
  const joiner = new Joiner();
  const body = new Uint8Array(1);
  for (const header of [`${'x'.repeat(1_000)}/1 0 2`, 'a', 'a/1', 'a/1 1 2', 'a/1 x 2'])
    expect(joiner.add(header, body)).toBeUndefined();
  // Not a number of parts: the first part is all of it, and what is made of it has to pass the check of its signature.
  expect(joiner.add('a/1 0 0', body)).toEqual(Buffer.from(body));
});
