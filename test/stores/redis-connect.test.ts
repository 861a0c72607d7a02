import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createClient, createClientPool, createCluster, createSentinel } from 'redis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createClient as createOwn } from '../../packages/redis/src/client.ts';
import { redis } from '../../packages/redis/src/index.ts';
import { single } from '../../packages/redis/src/single-server.ts';
import { backendContract } from './contract/backend/backend-contract.ts';
import { newCertificate } from '../kit/certificate.ts';
import { createLog } from '../kit/log.ts';
import { describeWhereInstalled, describeWithServer, freePort } from '../kit/servers/index.ts';
import { without } from '../kit/without.ts';
import { until } from '../kit/until.ts';
import { runCase, storeContract } from './contract.ts';
import { ownServer, useAll } from './outages.ts';
import { append, newName, openBackends, openRedis, openView, recordOf } from './redis-views.ts';

/** Removed when the test is over. */
async function started(...args: string[]) {
  const server = await ownServer('redis', ...args);
  const ask = await openRedis(server.url);
  const { host } = new URL(server.url);
  return { server, ask, as: (user: string) => `redis://${user}@${host}` };
}

const awayBecause = (message: RegExp) => ({
  code: 'STORE_UNAVAILABLE',
  status: 503,
  message: expect.stringMatching(message) as string,
});

const cluster = createCluster({ rootNodes: [{ url: 'redis://127.0.0.1:1' }] });
const sentinel = createSentinel({
  name: 'primary',
  sentinelRootNodes: [{ host: '127.0.0.1', port: 1 }],
});
const OTHER_VERSION = /a client of another kind or version, takes .*of the package redis 6/;

describe('redis() takes', () => {
  test.each<[string, unknown, RegExp]>([
    [
      'no URL',
      'localhost:6379',
      /redis\.server: got a text .*Protocol - localhost: - is not a valid/,
    ],
    ['nothing', undefined, /redis\.server: got undefined/],
    [
      'a URL of another kind',
      'http://localhost',
      /redis\.server: got a text .*Protocol - http: - is not a valid/,
    ],
    ['a text', 'redis', /redis\.server: got a text .*Invalid URL/],
    [
      'a database by name',
      'redis://localhost/mine',
      /redis\.server: got a text .*Invalid pathname.*6379\/0/,
    ],
    [
      'a password with a stray %',
      'redis://ann:100%@localhost',
      /redis\.server: got a text .*URI malformed.*%25/,
    ],
    ['options alone', { url: 'redis://localhost' }, /redis\.server: got object/],
    ['a pool', createClientPool(), /createClient, createCluster or createSentinel/],
    [
      'a client of ioredis',
      without(createClient(), 'sSubscribe'),
      /createClient, createCluster or createSentinel/,
    ],
    // The package makes no promise about these. Sentinel clients of version 5 have no `duplicate`.
    ['a Cluster client of another version', without(cluster, '_options'), OTHER_VERSION],
    ['a Sentinel client of another version', without(sentinel, '_execute'), OTHER_VERSION],
    ['a Sentinel client of version 5', without(sentinel, 'duplicate'), OTHER_VERSION],
  ])('%s: refused with what it takes', (_, at, message) => {
    expect(() => redis(at as string)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
    expect(() => redis(at as string)).toThrow(message);
  });

  test('an option that it does not know: refused by name', () => {
    expect(() => redis('redis://localhost', { uri: 'mine' } as never)).toThrow(
      /Unknown option redis\.uri/,
    );
  });

  test('its clients share one class, whatever their options are', () => {
    const one = createOwn({ url: 'redis://ann:pw@one.example:7000/6', name: 'sojourn' });
    const two = createOwn({ socket: { host: 'two.example' }, database: 7 });
    expect(Object.getPrototypeOf(two)).toBe(Object.getPrototypeOf(one));
    expect(one.options).toMatchObject({
      username: 'ann',
      database: 6,
      socket: { host: 'one.example', port: 7000 },
    });
    expect(two.options).toMatchObject({ socket: { host: 'two.example' }, database: 7 });
    expect(two.options).not.toHaveProperty('username');
  });

  test.each(['redis://user:hunter2@host/mine', 'http://user:hunter2@host', 'user:hunter2@host'])(
    '%s: the error shows no password',
    (url) => expect(() => redis(url)).toThrow(/^(?!.*hunter2).*redis\.server/),
  );

  test.each(['', 'a b', 'a{b}', 'a}', 'ä', 'a\n'])('the prefix %j: refused', (prefix) => {
    expect(() => redis('redis://localhost', { prefix })).toThrow(/redis\.prefix/);
  });
});

describeWithServer('redis', 'a connection', (server) => {
  test('by URL uses the database of the URL, apart from the data of other databases', async () => {
    const name = newName();
    const [here, there] = await Promise.all([
      openView(`${server().url}/3`, { deployment: name }),
      openView(`${server().url}/4`, { deployment: name }),
    ]);
    const got: string[] = [];
    await there.instances.announce({ id: 'there', state: 'serving', version: '1' }, (_, { kind }) =>
      got.push(kind),
    );
    await useAll(here);
    expect((await there.records.list(1_000)).records.length).toBe(0);
    expect(await there.instances.send('x', 'there', { kind: 'own' })).toBe('sent');
    await until(() => got.includes('own'));
    expect(got).toEqual(['own']);
    const ask = await openRedis(`${server().url}/3`);
    expect(((await ask('KEYS', `*${name}*`)) as string[]).length).toBeGreaterThan(0);
    const elsewhere = await openRedis(server().url);
    expect(await elsewhere('KEYS', `*${name}*`)).toEqual([]);
  });

  test.each([2, 3] as const)(
    'made from a client of the caller has its configuration (RESP %i) and leaves that client unchanged',
    async (RESP) => {
      const ask = await openRedis(server().url);
      const client = createClient({ url: `${server().url}/6`, RESP, name: 'theirs' });
      client.on('error', () => undefined);
      const store = redis(client);
      // The caller's client need not be connected.
      const view = await openView(store);
      expect(client.isOpen).toBe(false);
      await client.connect();
      onTestFinished(() => client.destroy());
      await useAll(view);
      await view.instances.announce({ id: 'me', state: 'serving', version: '1' }, () => undefined);
      const names = String(await ask('CLIENT', 'LIST')).match(/name=theirs /g);
      expect(names).toHaveLength(3);
      await view.close();
      expect(client.isReady).toBe(true);
      expect(await client.ping()).toBe('PONG');
      expect(client.listenerCount('error')).toBe(1);
      await until(
        async () => String(await ask('CLIENT', 'LIST')).match(/name=theirs /g)?.length === 1,
      );
    },
  );

  test('sends the writes of one turn in one packet', async () => {
    const ask = await openRedis(server().url);
    const view = await openView(server().url);
    await view.records.create(recordOf('s'));
    const reads = async (): Promise<number> =>
      Number(/total_reads_processed:(\d+)/.exec(String(await ask('INFO', 'stats')))?.[1]);
    const before = await reads();
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, async (_, n) =>
        append(view, `p1x${n}`, 0, ['', '{}'], { complete: true }),
      ),
    );
    expect(new Set(outcomes)).toEqual(new Set(['written']));
    // One packet of 50 writes, in the pieces that the server reads, and the query itself.
    expect((await reads()) - before).toBeLessThan(10);
  });

  test('closes with the last view that uses it', async () => {
    const ask = await openRedis(server().url);
    const connections = async (): Promise<number> =>
      String(await ask('CLIENT', 'LIST')).match(/name=sojourn /g)?.length ?? 0;
    const store = redis(server().url);
    const [one, two] = [await openView(store), await openView(store)];
    await one.instances.announce({ id: 'one', state: 'serving', version: '1' }, () => undefined);
    await two.instances.announce({ id: 'two', state: 'serving', version: '1' }, () => undefined);
    expect(await connections()).toBe(3);
    for (let n = 0; n < 2; n++) await one.close();
    expect(await two.instances.send('two', 'two', { kind: 'own' })).toBe('sent');
    await two.close();
    await until(async () => (await connections()) === 0);
    const again = await openView(store);
    expect((await again.records.list(1_000)).records.length).toBe(0);
  });
});

/** The rules that `docs/stores/redis.md` gives a user. The last line is for a Cluster, which needs Redis 7.0. */
const LINES = readFileSync(new URL('../../docs/stores/redis.md', import.meta.url), 'utf8')
  .match(/(?<=```\nACL SETUSER sojourn on >password )[^`]*/)?.[0]
  .trim()
  .split('\n')
  .map((line) => line.trim().split(' '));
const RULES = ['-@all', ...(LINES ?? []).slice(0, -1).flat()];
const CLUSTER_RULES = LINES?.at(-1) ?? [];

describeWhereInstalled('redis', 'a server with access control', () => {
  test('accepts the right password in the URL and refuses any other', async () => {
    const { server, ask, as } = await started();
    await ask('CONFIG', 'SET', 'requirepass', 'hunter2');
    await useAll(await openView(as(':hunter2')));
    await expect(openView(as(':hunter3'))).rejects.toMatchObject(
      awayBecause(/^(?!.*hunter3).*not accepted/),
    );
    await expect(openView(server.url)).rejects.toMatchObject(awayBecause(/asks for a password/));
  });

  test('needs no more permissions than the page lists', async () => {
    const { ask, as } = await started();
    expect(RULES.length).toBeGreaterThan(20);
    await ask('ACL', 'SETUSER', 'sessions', 'on', '>secret', ...RULES);
    if (!String(await ask('INFO', 'server')).includes('redis_version:6.'))
      await ask('ACL', 'SETUSER', 'of-a-cluster', ...CLUSTER_RULES);
    const log = createLog();
    const view = await openView(as('sessions:secret'), { logger: log });
    await useAll(view);
    for (const one of storeContract)
      await runCase(one, { connect: () => redis(as('sessions:secret')) });
    const target = single({ url: as('sessions:secret') });
    for (const { run, refuses } of backendContract)
      if (refuses !== true) await run(openBackends(target));
    expect(await ask('ACL', 'LOG')).toEqual([]);
    expect(log.lines.filter(({ level }) => level !== 'debug')).toEqual([]);
  }, 180_000);

  test('refuses what a listed command is missing for, with an error that says what to do', async () => {
    const { ask, as } = await started();
    // Connecting needs these, and the store does not need INFO. A log is trimmed once it is long.
    const others = /^\+(ping|hello|auth|select|info|subscribe|ltrim|getdel)\b/;
    const commands = RULES.filter((rule) => rule.startsWith('+') && !others.test(rule));
    expect(commands.length).toBeGreaterThan(15);
    const text = 'x'.repeat(1_100_000);
    for (const command of commands) {
      const rules = RULES.filter((rule) => rule !== command);
      await ask('ACL', 'SETUSER', 'sessions', 'reset', 'on', '>secret', ...rules);
      await ask('SCRIPT', 'FLUSH');
      const used = async (): Promise<void> => {
        const view = await openView(as('sessions:secret'), { counted: true });
        await useAll(view);
        await view.records.create(recordOf('counted', { share: 'share' }));
        await view.kept.recount('share');
        await view.kept.byAll(1);
        await view.instances.send('other', 'none', { kind: 'call', text });
      };
      await expect(used(), command).rejects.toThrow(/may not do that.*page of the Redis store/);
    }
  });

  test('that allows the keys of one deployment below its prefix alone is enough for it', async () => {
    const { ask, as } = await started();
    const rules = RULES.filter((rule) => !/^[~&]/.test(rule));
    await ask(
      'ACL',
      'SETUSER',
      'sessions',
      'on',
      '>secret',
      ...rules,
      '~mine:app:*',
      '&mine:app:*',
    );
    const view = await openView(redis(as('sessions:secret'), { prefix: 'mine' }), {
      deployment: 'app',
    });
    await useAll(view);
  });
});

describeWhereInstalled('redis', 'a server by TLS', () => {
  test('is reached with the certificate of its authority, and not without', async () => {
    const { certificate, key } = newCertificate();
    const port = String(await freePort());
    const files = [
      '--tls-cert-file',
      certificate,
      '--tls-key-file',
      key,
      '--tls-ca-cert-file',
      certificate,
    ];
    await ownServer('redis', '--tls-port', port, '--tls-auth-clients', 'no', ...files);
    const url = `rediss://127.0.0.1:${port}`;
    await expect(openView(url)).rejects.toMatchObject(awayBecause(/self-signed certificate/));
    const ca = readFileSync(certificate);
    await useAll(await openView(redis(createClient({ url, socket: { tls: true, ca } }))));
  });
});

describeWhereInstalled('redis', 'the configuration of a server', () => {
  test('logs once that the server may evict keys, and not where it evicts those with an expiry alone', async () => {
    const { server, ask } = await started(
      '--maxmemory',
      '100mb',
      '--maxmemory-policy',
      'allkeys-lru',
    );
    const log = createLog();
    const said = (): unknown[] => log.matching(/drops sessions/, 'warn');
    await ask('CONFIG', 'SET', 'maxmemory-policy', 'volatile-lru');
    await (await openView(server.url, { logger: log })).close();
    expect(said()).toEqual([]);
    await ask('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    const view = await openView(server.url, { logger: log });
    expect(said()).toMatchObject([{ fields: { policy: 'allkeys-lru' } }]);
    await server.stop();
    await server.start();
    await until(async () => (await view.records.create(recordOf(newName()))) === 'created');
    expect(said()).toHaveLength(1);
  });

  test('a node of a Cluster is refused as a single server', async () => {
    // Its bus would take the port 10,000 above its own, which the system may have given to a connection.
    const { server } = await started(
      '--cluster-enabled',
      'yes',
      '--cluster-port',
      String(await freePort()),
    );
    const refused = {
      ...awayBecause(/node of a Cluster.*createCluster/),
      storeProblem: { lasting: true },
    };
    await expect(openView(server.url)).rejects.toMatchObject(refused);
  });

  test('something that is no Redis fails the opening', async () => {
    const other = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
    onTestFinished(() => void other.close());
    const { port } = other.address() as { port: number };
    await expect(openView(`redis://127.0.0.1:${port}`, { leaseMs: 600 })).rejects.toMatchObject(
      awayBecause(/./),
    );
  });
});
