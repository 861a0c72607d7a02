/** What is larger than a message may be: whole or not at all, and gone when it is not needed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import { describeWithServer, describeWhereInstalled, startServer } from '../kit/servers/index.ts';
import type { StoredRecord } from '../../src/stores/store.ts';
import { until } from '../kit/until.ts';
import { FakeClock } from './nats-fake-clock.ts';
import { HeldBack } from './nats-held.ts';
import { connectTo, FENCE, managerOf, ME, newPrefix, openView, OTHER, recordOf } from './nats-views.ts';
import { dueNow, openStreams } from '../../src/testing/view.ts';

const MIB = 1_048_576;
const retention = { ttlMs: 600_000, events: 1_000, bytes: 64 * MIB };
const text = (bytes: number, letter = 'x'): string => JSON.stringify(letter.repeat(bytes));

describeWithServer('nats', 'larger than a message', (server) => {
  async function counted(stream: string): Promise<number> {
    return (await (await managerOf(server().url)).streams.info(stream)).state.messages;
  }

  test('an event of 4 MiB, and several large ones in one append, are replayed whole', async () => {
    const prefix = newPrefix();
    const [here, there] = [
      await openView(nats(server().url, { prefix }), { log: retention }),
      await openView(nats(server().url, { prefix }), { log: retention }),
    ];
    await here.records.create(recordOf('s'));
    const events = [text(4 * MIB, 'é'), '', text(10), text(700_000), text(700_000)];
    expect(await here.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events })).toBe('written');
    expect(await here.records.append({ id: 's', fence: FENCE, stream: 'p', from: 5, events: ['5'] })).toBe('written');
    const outcome = await there.records.replay('s', 'p', -1);
    expect(outcome.found && outcome.events.map(({ data }) => data.length)).toEqual(
      [...events, '5'].map(({ length }) => length),
    );
    expect(outcome.found && outcome.events[0]?.data === events[0]).toBe(true);
    expect(await there.records.claim('s', FENCE, OTHER)).toMatchObject({ claimed: true });
  });

  test('markers and requests that are large come with the claim', async () => {
    const prefix = newPrefix();
    const [here, there] = [
      await openView(nats(server().url, { prefix })),
      await openView(nats(server().url, { prefix })),
    ];
    await here.records.create(recordOf('s'));
    const mark = { name: text(2 * MIB), stream: 'p' };
    const append = { id: 's', fence: FENCE, stream: 'p', from: 0, events: [''], note: text(MIB), mark };
    expect(await here.records.append(append)).toBe('written');
    for (let n = 1; n < 40; n++)
      await here.records.append({ id: 's', fence: FENCE, stream: 'p', from: n, events: [`${n}`] });
    const claim = await there.records.claim('s', FENCE, OTHER);
    expect(claim.claimed && claim.marks).toEqual([mark]);
    expect(await openStreams(there, 's')).toEqual([{ stream: 'p', next: 40, note: text(MIB) }]);
  });

  test('many fields are in separate messages, which go with their fields and with the session', async () => {
    const prefix = newPrefix();
    const [here, there] = [
      await openView(nats(server().url, { prefix })),
      await openView(nats(server().url, { prefix })),
    ];
    const messages = () => counted(`KV_${prefix}_records`);
    await here.records.create(recordOf('s', { fields: {} }));
    const names = Array.from({ length: 1_000 }, (_, n) => `u"file:///${'x'.repeat(50)}/${n}"`);
    const change = (some: readonly string[], value: string | null) =>
      here.records.save('s', FENCE, { fields: Object.fromEntries(some.map((name) => [name, value])) });
    const fields = async () => ((await there.records.read('s')) as StoredRecord).fields;
    const all = (some: readonly string[], value = '1') => Object.fromEntries(some.map((name) => [name, value]));
    for (let from = 0; from < names.length; from += 10) await change(names.slice(from, from + 10), '1');
    expect(await fields()).toEqual(all(names));
    const long = await messages();
    expect(long).toBeGreaterThan(10);
    // Changes and deletes fields of the first piece.
    await change([names[0] ?? ''], '2');
    await change([names[1] ?? ''], null);
    expect(await fields()).toEqual({ ...all(names.slice(2)), ...all(names.slice(0, 1), '2') });
    await change(names.slice(3), null);
    expect(await fields()).toEqual({ ...all(names.slice(2, 3)), ...all(names.slice(0, 1), '2') });
    await until(async () => (await messages()) <= 2, { what: 'the pieces to be removed' });
    await change(names.slice(3), '1');
    await until(async () => (await messages()) > 10);
    await there.records.end('s', FENCE, 'deleted');
    await until(async () => (await messages()) === 1, { what: 'only the tombstone to be left' });
  });

  test('a record of 3 MiB is read, changed and ended, and leaves nothing', async () => {
    const prefix = newPrefix();
    const [here, there] = [
      await openView(nats(server().url, { prefix })),
      await openView(nats(server().url, { prefix })),
    ];
    const fields = { large: text(3 * MIB) };
    await here.records.create(recordOf('s', { fields }));
    expect(await there.records.read('s')).toEqual(recordOf('s', { fields }));
    expect(await here.records.save('s', FENCE, { fields: { more: text(MIB) } })).toBe('written');
    expect(await here.records.save('s', FENCE, { fields: { large: text(2 * MIB) } })).toBe('written');
    const after = recordOf('s', { fields: { large: text(2 * MIB), more: text(MIB) } });
    expect(await there.records.read('s')).toEqual(after);
    expect((await there.records.list(10)).records).toEqual([after]);
    // The record, and the parts that it has now.
    await until(async () => (await counted(`KV_${prefix}_records`)) === 1 + 4);
    expect(await here.records.save('s', FENCE, { fields: { large: null, more: null } })).toBe('written');
    await until(async () => (await counted(`KV_${prefix}_records`)) === 1);
    await here.records.save('s', FENCE, { fields });
    expect(await here.records.end('s', FENCE, 'deleted')).toBe('ended');
    await until(async () => (await counted(`KV_${prefix}_records`)) === 1);
  });

  test('a record that is written again and again is never half the one and half the other', async () => {
    const prefix = newPrefix();
    const [here, there] = [
      await openView(nats(server().url, { prefix })),
      await openView(nats(server().url, { prefix })),
    ];
    const fieldsOf = (letter: string) => ({ a: text(MIB, letter), b: text(MIB, letter) });
    await here.records.create(recordOf('s', { fields: fieldsOf('0') }));
    let writing = true;
    const writer = (async () => {
      for (let n = 1; n <= 8; n++) await here.records.save('s', FENCE, { fields: fieldsOf(String(n)) });
      writing = false;
    })();
    writer.catch(() => {});
    while (writing) {
      const record = await there.records.read('s');
      const { a, b } = (record as StoredRecord).fields;
      expect(a === b).toBe(true);
    }
    await writer;
  });

  test('a record whose parts were deleted is reported as such, and is not missing', async () => {
    const prefix = newPrefix();
    const here = await openView(nats(server().url, { prefix }));
    await here.records.create(recordOf('s', { fields: { large: text(2 * MIB) } }));
    const { streams } = await managerOf(server().url);
    const stream = `KV_${prefix}_records`;
    await streams.deleteMessage(stream, (await streams.info(stream)).state.first_seq);
    await expect(here.records.read('s')).rejects.toMatchObject({
      code: 'STORE_AWAY',
      message: expect.stringMatching(/session [0-9a-f]{12}, whose parts are missing,/) as string,
    });
  });

  test('parts whose record was never stored are removed', async () => {
    const prefix = newPrefix();
    const clock = new FakeClock();
    const held = new HeldBack(clock.shownBy(await connectTo(server().url)));
    const here = await openView(nats(held.connection, { prefix }), { leaseMs: 900 });
    await here.records.create(recordOf('s'));
    held.holdNext(({ subject, data }) => subject === `$KV.${prefix}_records.mcp.things.s` && data[0] === 1);
    await expect(here.records.save('s', FENCE, { fields: { large: text(2 * MIB) } })).rejects.toMatchObject({
      code: 'STORE_AWAY',
    });
    held.drop();
    expect(await counted(`KV_${prefix}_records`)).toBe(1 + 3);
    expect(await here.records.read('s')).toEqual(recordOf('s'));
    const there = await openView(nats(clock.shownBy(await connectTo(server().url)), { prefix }), { time: clock.time });
    await clock.pass(3_600_000);
    await dueNow(there, 10);
    await until(async () => (await counted(`KV_${prefix}_records`)) === 1);
  });

  test('a message of 5 MiB to another instance arrives whole, in its place among others', async () => {
    const prefix = newPrefix();
    const [here, there] = [
      await openView(nats(server().url, { prefix })),
      await openView(nats(server().url, { prefix })),
    ];
    const received: unknown[] = [];
    await there.instances.announce({ id: OTHER, state: 'serving', version: '1' }, (_, { n, body }) => {
      received.push([n, (body as string).length]);
    });
    await here.instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
    const sizes = [10, 5 * MIB, 20, MIB, 2 * MIB, 30];
    await Promise.all(
      sizes.map(async (size, n) => here.instances.send(ME, OTHER, { kind: 'n', n, body: 'x'.repeat(size) })),
    );
    await until(() => received.length === sizes.length);
    expect(received).toEqual(sizes.map((size, n) => [n, size]));
    const all: unknown[] = [];
    await there.instances.announce({ id: 'third', state: 'serving', version: '1' }, (_, { body }) => {
      all.push((body as string).length);
    });
    await here.instances.publish(ME, { kind: 'event', body: 'x'.repeat(3 * MIB) });
    await until(() => all.length === 1);
    expect(all).toEqual([3 * MIB]);
  });

  test('a message of which a part was lost is dropped, and the next one arrives', async () => {
    const prefix = newPrefix();
    const held = new HeldBack(await connectTo(server().url));
    const here = await openView(nats(held.connection, { prefix }));
    const there = await openView(nats(server().url, { prefix }));
    const received: unknown[] = [];
    await there.instances.announce({ id: OTHER, state: 'serving', version: '1' }, (_, { n }) => received.push(n));
    let parts = 0;
    held.holdNext(({ subject }) => subject.startsWith(`${prefix}.mail.`) && (parts += 1) === 2);
    await here.instances.send(ME, OTHER, { kind: 'n', n: 0, body: 'x'.repeat(4 * MIB) });
    expect(parts).toBe(2);
    held.drop();
    for (const n of [1, 2]) await here.instances.send(ME, OTHER, { kind: 'n', n, body: 'x'.repeat(n * MIB) });
    await until(() => received.length === 2);
    expect(received).toEqual([1, 2]);
  });
});

describe('on a server that takes little at once', () => {
  describeWhereInstalled('nats', 'max_payload is 64 KiB', () => {
    test('everything works as on any other', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'sojourn-nats-'));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const config = join(folder, 'nats.conf');
      writeFileSync(config, 'max_payload: 65536\n');
      const server = await startServer('nats', { args: ['-c', config] });
      onTestFinished(() => server.close());
      const view = await openView(server.url, { log: retention });
      const fields = { large: text(262_144) };
      await view.records.create(recordOf('s', { fields }));
      expect(await view.records.read('s')).toEqual(recordOf('s', { fields }));
      const events = [text(300_000)];
      await view.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events });
      const outcome = await view.records.replay('s', 'p', -1);
      expect(outcome.found && outcome.events).toEqual([{ offset: 0, data: events[0] }]);
      const received: unknown[] = [];
      await view.instances.announce({ id: ME, state: 'serving', version: '1' }, (_, { body }) => received.push(body));
      await view.instances.send(ME, ME, { kind: 'n', body: text(400_000) });
      await until(() => received.length === 1);
      expect(received).toEqual([text(400_000)]);
    });
  });
});
