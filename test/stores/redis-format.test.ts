/** The stored format and the messages, literally: builds of several versions share them during a rolling deploy. */
import { createClient } from 'redis';
import { expect, onTestFinished, test } from 'vitest';
import { slotOf } from '../../src/stores/redis/slots.ts';
import type { StoredRecord } from '../../src/stores/store.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { FENCE, ME, newName, openRedis, openView, recordOf } from './redis-views.ts';
import { openStreams } from '../store-contract/view.ts';

const EXPIRES_AT = 4_102_444_800_000;

const RECORD: StoredRecord = recordOf('s', {
  user: 'ada',
  head: '2025-11-25 i info',
  body: '{"clientInfo":{}}',
  fields: { 's"cart"': '[1]', 's"größe"': '"L"', 'u"file:///a"': '1' },
  createdAt: 1_767_225_600_000,
  stamp: 1_767_225_601_000,
  expiresAt: EXPIRES_AT,
});

const BODY = '["ada",1767225600000]\n{"clientInfo":{}}';

describeWithServer('redis', 'the first format', (server) => {
  const pairs = (flat: unknown): Record<string, string> => {
    const list = flat as string[];
    return Object.fromEntries(list.flatMap((field, n) => (n % 2 === 0 ? [[field, list[n + 1] ?? '']] : [])));
  };

  test('is the format in which a session is written', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const view = await openView(server().url, { name });
    const at = (key: string): string => `sojourn:${name}:things:{s}:${key}`;
    await view.records.create(RECORD, 3_600_000);
    await view.records.save('s', FENCE, { head: '2025-11-25 ig info', fields: { 's"cart"': null } });
    const mark = { name: '"1"', stream: 'p1x0' };
    await view.records.append({ id: 's', fence: FENCE, stream: 'p1x0', from: 0, events: ['', '{"a":1}'], mark });
    await view.records.append({
      id: 's',
      fence: FENCE,
      stream: 'g',
      from: 0,
      events: [''],
      note: '[{"id":1}]',
    });
    await view.records.append({ id: 's', fence: FENCE, stream: 'p1x0', from: 2, events: ['{}'], complete: true });

    const head = pairs(await ask('HGETALL', at('r')));
    expect(head).toEqual({
      f: `1 ${ME}`,
      w: expect.stringMatching(/^[\w-]{8}5$/) as string,
      v: '1',
      h: '2025-11-25 ig info',
      a: '1767225601000',
      x: expect.stringMatching(/^\d{13}$/) as string,
      c: expect.stringMatching(/^4 9 0 0 \d{13}$/) as string,
    });
    expect(await ask('GET', at('b'))).toBe(BODY);
    expect(pairs(await ask('HGETALL', at('s')))).toEqual({
      'u"file:///a"': '1',
      's"größe"': '"L"',
    });
    expect(pairs(await ask('HGETALL', at('o')))).toEqual({ sg: '1\n[{"id":1}]', 'm["\\"1\\"","p1x0"]': '' });
    expect(pairs(await ask('HGETALL', at('k')))).toEqual({ p1x0: '', g: '' });
    expect(((await ask('LRANGE', at('l'), '0', '-1')) as string[]).map((text) => text.replace(/\d{13}/, 'T'))).toEqual([
      '2 7 T 0 2  4 p1x0\u001e{"a":1}',
      '3 7 T 0 1  1 g',
      '4 9 T 2 1 1 4 p1x0{}',
    ]);
    await view.records.save('s', FENCE, { release: true });
    expect(await ask('HGET', at('r'), 'f')).toBe('1 ');
    await view.records.end('s', { epoch: 1, owner: null }, 'deleted');
    expect(pairs(await ask('HGETALL', at('r')))).toEqual({
      d: 'deleted',
      at: expect.stringMatching(/^\d{13}$/) as string,
      k: expect.stringMatching(/^\d{13}$/) as string,
    });
  });

  test('is read and continued', async () => {
    const ask = await openRedis(server().url);
    const name = newName();
    const at = (key: string): string => `sojourn:${name}:things:{s}:${key}`;
    const now = Date.now();
    await ask('HSET', at('r'), 'f', `3 ${ME}`, 'w', 'abcdefgh12', 'v', '1', 'h', '2025-06-18 ig');
    await ask('HSET', at('r'), 'a', '1767225601000', 'x', String(EXPIRES_AT), 'c', `3 7 0 0 ${now + 600_000}`);
    await ask('SET', at('b'), BODY);
    await ask('HSET', at('s'), 'u"file:///a"', '1', 's"cart"', '[1]');
    await ask('HSET', at('o'), 'sg', '1\n[{"id":1}]', 'm["1","p1x0"]', '');
    await ask('HSET', at('k'), 'p1x0', '', 'g', '');
    await ask('RPUSH', at('l'), `2 7 ${now} 0 2 1 4 p1x0\u001e{"a":1}`, `3 7 ${now} 0 1  1 g`);
    await ask('ZADD', `sojourn:{${name}}:things:all`, '0', 's');
    await ask('ZADD', `sojourn:{${name}}:things:due`, String(EXPIRES_AT), 's');

    const view = await openView(server().url, { name });
    const read = {
      ...RECORD,
      epoch: 3,
      head: '2025-06-18 ig',
      fields: { 's"cart"': '[1]', 'u"file:///a"': '1' },
    };
    expect(await view.records.read('s')).toEqual(read);
    expect((await view.records.list(10)).records).toEqual([read]);
    expect(await openStreams(view, 's')).toEqual([{ stream: 'g', next: 1, note: '[{"id":1}]' }]);
    const events = [
      { offset: 0, data: '' },
      { offset: 1, data: '{"a":1}' },
    ];
    expect(await view.records.replay('s', 'p1x0', -1)).toEqual({ found: true, events, next: 2, complete: true });
    const claim = await view.records.claim('s', { epoch: 3, owner: ME }, 'next');
    expect(claim).toMatchObject({ claimed: true, marks: [{ name: '1', stream: 'p1x0' }] });
    const fence = { epoch: 4, owner: 'next' };
    const append = { id: 's', fence, stream: 'g', from: 1, events: ['{}'] };
    expect(await view.records.append(append)).toBe('written');
    expect(await view.records.append({ ...append, stream: 'p1x0', from: 0 })).toBe('fenced');
    expect(await ask('HGET', at('r'), 'f')).toBe('4 next');
    expect(pairs(await ask('HGETALL', at('s')))).toEqual({ 'u"file:///a"': '1', 's"cart"': '[1]' });
  });

  test('is the format of messages between instances', async () => {
    const name = newName();
    const view = await openView(server().url, { name });
    const heard: string[] = [];
    const listener = await createClient({ url: server().url }).connect();
    onTestFinished(() => listener.destroy());
    await listener.subscribe([`sojourn:${name}:{b}:mail`, `sojourn:{${name}}:bus`], (text) => heard.push(text));
    await view.instances.send('a', 'b', { kind: 'call', n: 1 });
    await view.instances.publish('a', { kind: 'event' });
    await view.instances.send('a', 'b', { kind: 'call', text: 'x'.repeat(1_048_576) });
    await until(() => heard.length === 3);
    expect(heard[0]).toBe('{"v":1,"from":"a","message":{"kind":"call","n":1}}');
    expect(heard[1]).toBe('{"v":1,"from":"a","message":{"kind":"event"}}');
    expect(heard[2]).toMatch(new RegExp(`^\\{"v":1,"from":"a","key":"sojourn:${name}:\\{b\\}:letter:[\\w-]{12}"\\}$`));

    const ask = await openRedis(server().url);
    const got: unknown[] = [];
    await view.instances.announce({ id: 'c', state: 'serving', version: '1.2.3' }, (from, message) =>
      got.push([from, message]),
    );
    const { w, x, ...lease } = pairs(await ask('HGETALL', `sojourn:${name}:leases:{c}:r`));
    expect([w, x]).toEqual([expect.stringMatching(/^[\w-]{8}1$/), expect.stringMatching(/^\d+$/)]);
    expect(lease).toEqual({ f: '1 c', v: '1', h: 'serving', a: '0' });
    expect(await ask('GET', `sojourn:${name}:leases:{c}:b`)).toBe('[null,0]\n1.2.3');
    await ask('SET', `sojourn:${name}:{c}:letter:1`, '{"kind":"large"}');
    await ask('PUBLISH', `sojourn:${name}:{c}:mail`, '{"v":1,"from":"a","message":{"kind":"call"}}');
    await ask('PUBLISH', `sojourn:${name}:{c}:mail`, `{"v":1,"from":"a","key":"sojourn:${name}:{c}:letter:1"}`);
    await until(() => got.length === 2);
    expect(got).toEqual([
      ['a', { kind: 'call' }],
      ['a', { kind: 'large' }],
    ]);
  });

  test('uses the slots that a Cluster gives its keys', () => {
    // Values of the specification, and values of this store.
    expect([slotOf('123456789'), slotOf('foo{bar}baz'), slotOf('bar')]).toEqual([12_739, 5_061, 5_061]);
    expect(slotOf('sojourn:mcp:{s}:r')).toBe(slotOf('s'));
  });
});
