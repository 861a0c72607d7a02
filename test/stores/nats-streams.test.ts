/** What the store makes on a server, what it finds there, and what it says when that does not fit. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstream } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';
import { describe, expect, onTestFinished, test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import { systemRandom, systemTime } from '../../src/base/system.ts';
import { createLog } from '../kit/log.ts';
import { describeWithServer, describeWhereInstalled, startServer, type TestServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { connectTo, FENCE, managerOf, ME, newPrefix, openView, recordOf, storeOptions } from './nats-views.ts';
import { openPlain } from './views.ts';
import { dueNow } from '../../src/testing/view.ts';

const AWAY = { code: 'STORE_AWAY', status: 503 };
const saying = (text: RegExp) => ({ ...AWAY, message: expect.stringMatching(text) as string });

async function configured(config: string): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-nats-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'nats.conf');
  writeFileSync(path, config);
  const server = await startServer('nats', { args: ['-c', path] });
  onTestFinished(() => server.close());
  return server;
}

const withUser = (server: TestServer, credentials: string): string =>
  server.url.replace('nats://', `nats://${credentials}@`);

describeWhereInstalled('nats', 'an account that requires a size for each stream', () => {
  const MIB = 1_048_576;
  const account = (): Promise<TestServer> =>
    configured(`
      jetstream { max_file_store: ${1_024 * MIB} }
      accounts { A {
        jetstream { max_file: ${200 * MIB}, max_mem: 0, max_bytes_required: true }
        users [{ user: a, password: pw }]
      } }
    `);

  test('refuses a store without maxBytes, and the error names the option', async () => {
    const url = withUser(await account(), 'a:pw');
    await expect(openView(nats(url))).rejects.toMatchObject(saying(/max_bytes_required.*maxBytes/));
  });

  test('gets streams that share maxBytes; what is full refuses writes, and the log drops its oldest', async () => {
    const server = await account();
    const url = withUser(server, 'a:pw');
    const view = await openView(nats(url, { maxBytes: 16 * MIB }), { leaseMs: 3_000 });
    const manager = await managerOf(server.url, { user: 'a', pass: 'pw' });
    let bytes = 0;
    for await (const { config } of manager.streams.list()) {
      expect(config.max_bytes).toBeGreaterThan(100_000);
      expect(config.discard).toBe(config.name === 'sojourn_log' ? 'old' : 'new');
      bytes += config.max_bytes;
    }
    expect(bytes).toBeLessThanOrEqual(16 * MIB);
    await view.records.create(recordOf('s'));
    const event = JSON.stringify('x'.repeat(500_000));
    for (let from = 0; from < 40; from++)
      expect(await view.records.append({ id: 's', fence: FENCE, stream: 'p', from, events: [event] })).toBe('written');
    const fields = { large: JSON.stringify('x'.repeat(800_000)) };
    const filling = async (): Promise<void> => {
      for (let n = 0; n < 20; n++) await view.records.create(recordOf(`s${n}`, { fields }));
    };
    await expect(filling()).rejects.toMatchObject(saying(/a limit of the stream is reached/));
    // A store of the same account finds its streams, with the option or without.
    await openView(nats(url));
    expect(await view.records.read('s')).toEqual(recordOf('s'));
  });
});

describeWhereInstalled('nats', 'an account whose storage is limited', () => {
  const MIB = 1_048_576;
  const account = (): Promise<TestServer> =>
    configured(`
      jetstream { max_file_store: ${1_024 * MIB} }
      accounts { A { jetstream { max_file: ${24 * MIB}, max_mem: 0 }, users [{ user: a, password: pw }] } }
    `);

  test('is warned of at open where nothing limits the log', async () => {
    const url = withUser(await account(), 'a:pw');
    for (const [settings, warnings] of [
      [{}, 1],
      [{ maxBytes: 20 * MIB, prefix: 'limited' }, 0],
      [{ prefix: 'limited' }, 0],
    ] as const) {
      const logger = createLog();
      await openView(nats(url, settings), { logger });
      expect(logger.matching(/storage of this JetStream account is limited.*maxBytes/, 'warn')).toHaveLength(warnings);
    }
  });

  test('that is full loses the oldest part of the log, and leases and sessions are written again', async () => {
    const url = withUser(await account(), 'a:pw');
    const logger = createLog();
    // The log of the session has room for more than the account, so that only the purge removes something.
    const log = { ttlMs: 3_600_000, events: 1_000, bytes: 100 * MIB };
    const view = await openView(url, { logger, log });
    await view.instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
    await view.records.create(recordOf('s'));
    const event = JSON.stringify('x'.repeat(500_000));
    let from = 0;
    const append = () => view.records.append({ id: 's', fence: FENCE, stream: 'p', from, events: [event] });
    const filling = async (): Promise<void> => {
      for (; from < 100; from++) await append();
    };
    await expect(filling()).rejects.toMatchObject(saying(/storage|resource/));
    expect(from).toBeGreaterThan(20);
    await until(() => logger.matching(/oldest quarter of the log was removed/, 'fatal').length > 0);
    // A server of 2.9 forgets the last message of a subject whose next one it refused, so another session writes.
    await until(async () => (await Promise.resolve(view.records.create(recordOf('t'))).catch(() => '')) === 'created');
    const fresh = { id: 't', fence: FENCE, stream: 'p', from: 0, events: [event] };
    expect(await view.records.append(fresh)).toBe('written');
    expect(await view.instances.renew(ME, 'serving')).toBe(true);
  });
});

describeWithServer('nats', 'the streams of the NATS store', (server) => {
  const store = (prefix: string, more: object = {}) => nats(server().url, { prefix, ...more });

  test('are made by the first who opens, also when many do at once, and are kept in files', async () => {
    const prefix = newPrefix();
    const views = await Promise.all(Array.from({ length: 8 }, () => openView(store(prefix))));
    await views[0]?.records.create(recordOf('s'));
    for (const view of views) expect(await view.records.read('s')).toEqual(recordOf('s'));
    const manager = await managerOf(server().url);
    const names = [
      `KV_${prefix}_records`,
      `KV_${prefix}_instances`,
      `${prefix}_log`,
      `${prefix}_places`,
      `${prefix}_agenda`,
    ];
    for (const name of names) {
      const { config } = await manager.streams.info(name);
      expect(config).toMatchObject({ storage: 'file', num_replicas: 1, allow_direct: false, retention: 'limits' });
    }
  });

  test('have buckets as NATS knows them: a record is under the name and the id', async () => {
    const prefix = newPrefix();
    const view = await openView(store(prefix), { name: 'my app' });
    await view.records.create(recordOf('a.b'));
    const connection = await connectTo(server().url);
    const key = `$KV.${prefix}_records.my=20app.things.a=2eb`;
    const manager = await managerOf(server().url);
    const entry = await manager.streams.getMessage(`KV_${prefix}_records`, { last_by_subj: key });
    expect(entry?.json()).toMatchObject({ v: 1, record: recordOf('a.b') });
    // What is deleted there is missing, and may be made again.
    const deleted = headers();
    deleted.set('KV-Operation', 'DEL');
    await jetstream(connection).publish(key, '', { headers: deleted });
    expect(await view.records.read('a.b')).toBeUndefined();
    expect(await view.records.save('a.b', FENCE, {})).toBe('fenced');
    expect(await view.records.create(recordOf('a.b'))).toBe('created');
  });

  test('keep a log for the longest retention of those who open them', async () => {
    const prefix = newPrefix();
    const manager = await managerOf(server().url);
    const age = async (): Promise<number> =>
      (await manager.streams.info(`${prefix}_log`)).config.max_age / 3_600_000_000_000;
    const hours = (count: number) => ({ log: { ttlMs: count * 3_600_000, events: 10, bytes: 1_000 } });
    await openView(store(prefix), hours(0.1));
    expect(await age()).toBe(1);
    await openView(store(prefix), hours(3));
    expect(await age()).toBe(6);
    await openView(store(prefix), hours(1));
    expect(await age()).toBe(6);
    await openView(store(prefix), hours(Infinity));
    expect(await age()).toBe(0);
    await openView(store(prefix), hours(1));
    expect(await age()).toBe(0);
  });

  test('that exist with other replicas are left as they are, and that is said once', async () => {
    const prefix = newPrefix();
    await openView(store(prefix));
    const logger = createLog();
    await openView(store(prefix, { replicas: 3 }), { logger });
    expect(logger.matching(/number of replicas/)).toHaveLength(1);
  });

  test.each([
    ['log', { subjects: ['other.>'] }, /its subjects are other\.>/],
    ['log', { storage: 'memory' }, /its storage is memory instead of file/],
    ['log', { retention: 'workqueue' }, /its retention is workqueue/],
    ['places', { max_age: 60_000_000_000 }, /forgets messages by their age/],
    ['agenda', { max_bytes: 1_000_000, discard: 'old' }, /drops the oldest messages/],
    ['agenda', { deny_delete: true }, /deny_delete/],
  ])('of another kind are not used: %s with %j', async (key, other, says) => {
    const prefix = newPrefix();
    const subjects = { log: ['log', 'part'], places: ['place'], agenda: ['due'] }[key] ?? [];
    const manager = await managerOf(server().url);
    await manager.streams.add({
      name: `${prefix}_${key}`,
      subjects: subjects.map((subject) => `${prefix}.${subject}.>`),
      max_msgs_per_subject: -1,
      ...(other as object),
    });
    await expect(openView(store(prefix))).rejects.toMatchObject(saying(says));
  });

  test('ask for no more replicas than there are servers', async () => {
    await expect(openView(store(newPrefix(), { replicas: 3 }))).rejects.toMatchObject(saying(/fewer servers/));
  });

  test('are made again when they are removed', async () => {
    const prefix = newPrefix();
    const view = await openView(store(prefix));
    await view.records.create(recordOf('s'));
    await view.records.append({ id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] });
    const manager = await managerOf(server().url);
    await manager.streams.delete(`${prefix}_log`);
    expect(await view.records.replay('s', 'p', -1)).toEqual({ found: false, why: 'unknown' });
    expect(await view.records.append({ id: 's', fence: FENCE, stream: 'q', from: 0, events: ['1'] })).toBe('written');
    await manager.streams.delete(`KV_${prefix}_records`);
    expect(await view.records.read('s')).toBeUndefined();
    expect(await view.records.create(recordOf('s'))).toBe('created');
  });

  test('do not hide what a newer version wrote', async () => {
    const prefix = newPrefix();
    const view = await openView(store(prefix));
    const connection = await connectTo(server().url);
    const put = async (subject: string, value: object): Promise<unknown> =>
      jetstream(connection).publish(subject, `${JSON.stringify(value)}\n`);
    await put(`$KV.${prefix}_records.mcp.things.value`, { v: 2 });
    await put(`$KV.${prefix}_records.mcp.things.record`, { v: 1, record: { ...recordOf('record'), v: 2 } });
    for (const id of ['value', 'record']) {
      await expect(view.records.read(id)).rejects.toMatchObject(saying(/newer version/));
      await expect(view.records.create(recordOf(id))).rejects.toMatchObject(saying(/newer version/));
    }
    await view.records.create(recordOf('s'));
    await put(`${prefix}.log.mcp.things.s`, { v: 2 });
    const append = { id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] };
    await expect(view.records.append(append)).rejects.toMatchObject(
      saying(/the log of session [0-9a-f]{12}.*newer version/),
    );
    await put(`$KV.${prefix}_instances.leases.mcp.next`, { v: 2 });
    await expect(view.instances.read('next')).rejects.toMatchObject(saying(/newer version/));
    await put(`$KV.${prefix}_instances.secrets.mcp.one`, { v: 2 });
    await expect(view.secret('one')).rejects.toMatchObject(saying(/newer version/));
  });

  test('do not take what another program put there for their own', async () => {
    const prefix = newPrefix();
    const view = await openView(store(prefix));
    const connection = await connectTo(server().url);
    await jetstream(connection).publish(`$KV.${prefix}_records.mcp.things.s`, 'hello');
    await expect(view.records.read('s')).rejects.toMatchObject(saying(/another program/));
  });
});

describe('the settings of the NATS store', () => {
  test.each([
    ['a prefix with a dot', () => nats('nats://x', { prefix: 'a.b' }), /nats\.prefix/],
    ['an empty prefix', () => nats('nats://x', { prefix: '' }), /nats\.prefix/],
    ['no replicas', () => nats('nats://x', { replicas: 0 }), /nats\.replicas/],
    ['half a replica', () => nats('nats://x', { replicas: 1.5 }), /nats\.replicas/],
    ['a URL of something else', () => nats('redis://x'), /nats\.servers.*redis:/],
    ['no URL', () => nats('localhost'), /nats\.servers/],
    ['an empty list', () => nats([]), /nats\.servers/],
    ['servers and a connection', () => nats({ servers: 'nats://x', connection: {} as never }), /one of them/],
    ['something that is no connection', () => nats({ connection: {} as never }), /nats\.connection/],
    ['an unknown name', () => nats({ url: 'nats://x' } as never), /Unknown option nats\.url/],
  ])('%s is refused', (_, make, says) => {
    expect(make).toThrow(says);
  });

  test('a password in a URL that is refused is not shown', () => {
    expect(() => nats('http://user:hunter2@x')).toThrow(expect.not.stringMatching('hunter2') as Error);
  });

  test('an older server is refused with what is needed', async () => {
    const old = {
      info: { version: '2.8.4', max_payload: 1_048_576 },
      getServer: () => 'old:4222',
      publish() {},
      subscribe() {},
      flush: async () => undefined,
      close: async () => undefined,
      status() {},
    };
    const open = openPlain(nats(old), { ...storeOptions(), time: systemTime, random: systemRandom });
    await expect(open).rejects.toMatchObject(saying(/2\.8\.4; 2\.9 or later/));
  });
});

describeWhereInstalled('nats', 'the accounts of NATS', () => {
  test('user and password, and a token, are taken from the URL; wrong ones differ from an outage', async () => {
    const server = await configured('authorization { user: ada, password: "s3cret/!" }\n');
    const view = await openView(withUser(server, 'ada:s3cret%2F!'));
    expect(await view.records.create(recordOf('s'))).toBe('created');
    const wrong = openView(withUser(server, 'ada:other'));
    await expect(wrong).rejects.toMatchObject(saying(/the server refused the login/));
    const token = await configured('authorization { token: "t0ken" }\n');
    await openView(withUser(token, 't0ken'));
  });

  test('the error for an account without JetStream says what to do', async () => {
    const server = await configured('accounts { A: { users: [ { user: a, password: a } ] } }\n');
    await expect(openView(withUser(server, 'a:a'))).rejects.toMatchObject(saying(/JetStream is not enabled/));
  });

  test('an account that is full refuses what does not fit, and continues when it has room', async () => {
    const server = await configured(
      'accounts { A: { users: [ { user: a, password: a } ], jetstream: { max_mem: 1M, max_store: 3M } } }\n',
    );
    const view = await openView(withUser(server, 'a:a'));
    await view.records.create(recordOf('s'));
    const events = [JSON.stringify('x'.repeat(400_000))];
    const append = async (from: number, stream = 'p'): Promise<unknown> =>
      view.records.append({ id: 's', fence: FENCE, stream, from, events });
    let written = 0;
    await expect(
      (async () => {
        for (; written < 20; written++) await append(written);
      })(),
    ).rejects.toMatchObject(saying(/limits of the account|storage is full/));
    expect(await view.records.read('s')).toEqual(recordOf('s'));
    const manager = await managerOf(server.url, { user: 'a', pass: 'a' });
    await manager.streams.purge('sojourn_log');
    expect(await append(0, 'q')).toBe('written');
  });

  test('a user with the rights that the page names can do everything, and no other subject is asked for', async () => {
    const rights = permissions('sojourn');
    const server = await configured(
      `accounts { A: { users: [ { user: a, password: a, permissions: ${rights} } ], jetstream: enabled } }\n`,
    );
    const store = nats({ servers: withUser(server, 'a:a'), connect: { inboxPrefix: '_INBOX_sojourn' } });
    const view = await openView(store, { log: { ttlMs: 60_000, events: 10, bytes: 10_000_000 } });
    await view.instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
    await view.records.create(recordOf('s'), 60_000);
    expect(await view.records.claim('s', FENCE, ME)).toMatchObject({ claimed: true });
    const fence = { epoch: 2, owner: ME };
    const large = JSON.stringify('x'.repeat(2_000_000));
    await view.records.save('s', fence, { fields: { large } });
    await view.records.append({ id: 's', fence, stream: 'p', from: 0, events: [large] });
    expect((await view.records.replay('s', 'p', -1)).found).toBe(true);
    expect((await view.records.list(10)).records).toHaveLength(1);
    expect((await view.records.list(1_000)).records.length).toBe(1);
    await dueNow(view, 10);
    expect(await view.instances.send(ME, ME, { kind: 'own' })).toBe('sent');
    await view.instances.publish(ME, { kind: 'event' });
    await view.secret('one', 1_000);
    expect(await view.records.end('s', fence, 'deleted')).toBe('ended');
    await view.records.trim();
  });

  test('the error for a user who lacks a right names the subject', async () => {
    const server = await configured(
      'accounts { A: { users: [ { user: a, password: a, permissions: { publish: { deny: "sojourn.log.>" } } } ], jetstream: enabled } }\n',
    );
    const view = await openView(withUser(server, 'a:a'));
    await view.records.create(recordOf('s'));
    const append = { id: 's', fence: FENCE, stream: 'p', from: 0, events: ['1'] };
    await expect(view.records.append(append)).rejects.toMatchObject(
      saying(/may not use sojourn\.log\.mcp\.things\.\*/),
    );
    expect(await view.records.read('s')).toEqual(recordOf('s'));
  });
});

/** As docs/stores/nats.md has them. */
function permissions(prefix: string): string {
  const streams = [
    `KV_${prefix}_records`,
    `KV_${prefix}_instances`,
    `${prefix}_log`,
    `${prefix}_places`,
    `${prefix}_agenda`,
  ];
  const requests = [
    'STREAM.INFO',
    'STREAM.CREATE',
    'STREAM.UPDATE',
    'STREAM.PURGE',
    'STREAM.MSG.GET',
    'STREAM.MSG.DELETE',
  ];
  const api = streams.flatMap((stream) => requests.map((request) => `$JS.API.${request}.${stream}`));
  const publish = [...api, `$KV.${prefix}_records.>`, `$KV.${prefix}_instances.>`, `${prefix}.>`];
  const subscribe = [`_INBOX_${prefix}.>`, `${prefix}.mail.>`, `${prefix}.bus.>`];
  const list = (subjects: readonly string[]): string =>
    `[ ${subjects.map((subject) => JSON.stringify(subject)).join(', ')} ]`;
  return `{ publish: ${list(publish)}, subscribe: ${list(subscribe)} }`;
}
