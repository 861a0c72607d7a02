/** An instance that drains while no other one serves: its port stays open until its calls have ended. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sqlite } from '../../../src/stores/sqlite/index.ts';
import { startInstance } from '../../stores/instances.ts';
import { temporaryFolder } from '../../kit/temporary.ts';
import { textOf, tool, toolCall } from '../../kit/lab.ts';
import { until } from '../../kit/until.ts';
import { inLab } from '../../kit/sessions.ts';

/** An endpoint, and a client with a session at it, which can be asked. */
const alone = () => inLab({}, { capabilities: { elicitation: { form: {} } } });

test('accepts connections and serves them until the calls under way have ended, and refuses them then', async () => {
  const { lab, endpoint, openSession, client, one: busy, url } = await alone();
  const called = busy.call(...tool('hold'));
  const held = await lab.held();
  const draining = endpoint.drain({ stopListening: true });
  await until(() => endpoint.health().state === 'draining');
  expect((await fetch(new URL('/readyz', url))).status).toBe(503);
  // Each over separate connections: a known session, and a new one.
  const known = client({ of: busy });
  expect(textOf((await known.call('tools/call', { name: 'count', arguments: {} })).message)).toBe(
    '1',
  );
  const fresh = await openSession();
  expect(textOf((await fresh.call(...tool('count'))).message)).toBe('1');
  held.answer('in time');
  expect(textOf((await called).message)).toBe('in time');
  expect(await draining).toEqual({ released: 2, interrupted: 0 });
  await expect(fetch(new URL('/healthz', url))).rejects.toThrow();
});

test('takes the answer that a call under way waits for, on a connection that is new', async () => {
  const { endpoint, client, one: busy } = await alone();
  const asking = await busy.post(toolCall('ask', 'ask'));
  const question = (await asking.nextMessage()) as { id: string };
  const draining = endpoint.drain({ stopListening: true });
  await until(() => endpoint.health().state === 'draining');
  const answering = client({ of: busy });
  const result = { action: 'accept', content: { colour: 'red' } };
  expect((await answering.post({ jsonrpc: '2.0', id: question.id, result })).status).toBe(202);
  expect(textOf(await asking.nextMessage())).toBe('accept {"colour":"red"}');
  expect(await draining).toMatchObject({ interrupted: 0 });
});

test('does not wait for calls that began after it was told to stop', async () => {
  const { lab, endpoint, openSession, one: busy, url } = await alone();
  const first = busy.call(...tool('hold'));
  const held = await lab.held();
  const draining = endpoint.drain({ stopListening: true });
  await until(() => endpoint.health().state === 'draining');
  const later = await openSession();
  const second = later.call(...tool('hold'));
  const latest = await lab.held(1);
  held.answer('first');
  await first;
  // Its port is closed by now, while the later call has until the deadline.
  await until(() =>
    fetch(new URL('/healthz', url)).then(
      () => false,
      () => true,
    ),
  );
  latest.answer('second');
  expect(textOf((await second).message)).toBe('second');
  expect(await draining).toMatchObject({ interrupted: 0 });
});

test('is alone beside an instance that was killed, and whose lease has not run out', async () => {
  const target = join(temporaryFolder(), 'sojourn.db');
  await (await startInstance({ target, name: 'mcp' }, 'killed')).kill();
  const { lab, endpoint, openSession, one: busy } = await inLab({ store: sqlite(target) });
  const called = busy.call(...tool('hold'));
  const held = await lab.held();
  const draining = endpoint.drain({ stopListening: true });
  await until(() => endpoint.health().state === 'draining');
  expect(textOf((await (await openSession()).call(...tool('count'))).message)).toBe('1');
  held.answer('in time');
  expect(textOf((await called).message)).toBe('in time');
  expect(await draining).toEqual({ released: 2, interrupted: 0 });
});
