/** The programs of docs/guide/what-a-server-may-assume.md: what they keep is there after their session moved on. */
import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import oneServer from '../../../examples/hooks/one-server.ts';
import factory from '../../../examples/hooks/session-state.ts';
import { memory } from '../../../src/stores/memory/index.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import { program, startCli } from '../../cli/cli-process.ts';
import { say } from '../../kit/lab.ts';
import { callModern } from '../../kit/modern.ts';
import { serve, type Served } from '../../kit/serve.ts';
import { until } from '../../kit/until.ts';

const toolsOf = async (client: RawClient): Promise<string[]> => {
  const { message } = await client.call('tools/list');
  return (message.result as { tools: Array<{ name: string }> }).tools.map(({ name }) => name);
};

/** The same session at another endpoint, after the first one was drained. */
async function moved(from: Served, to: Served, client: RawClient): Promise<RawClient> {
  await from.endpoint.drain();
  return to.client({ of: client });
}

const isLog =
  (data: string) =>
  ({ message }: { message?: unknown }): boolean =>
    (message as { params?: { data?: unknown } } | undefined)?.params?.data === data;

describe('examples/hooks/session-state.ts', () => {
  test('keeps values, an unlocked tool and a reminder of a session that another instance continues', async () => {
    // The test runs the timer itself: a real one could fire in the first instance, or before the GET stream is open.
    const timers = vi.spyOn(globalThis, 'setTimeout');
    onTestFinished(() => timers.mockRestore());
    const reminders = () => timers.mock.calls.filter(([run]) => String(run).includes('It is time'));
    const store = memory();
    const [first, second] = [await serve(factory, { store }), await serve(factory, { store })];
    const before = await first.openSession();
    expect(await say(before, 'visit')).toBe('visit 1');
    expect(await toolsOf(before)).toEqual(['visit', 'unlock', 'remind', 'search']);
    expect(await say(before, 'unlock')).toBe('unlocked');
    expect(await say(before, 'remind', { seconds: 60 })).toBe('noted');

    const after = await moved(first, second, before);
    expect(await say(after, 'visit')).toBe('visit 2');
    expect(await toolsOf(after)).toEqual(['visit', 'erase', 'unlock', 'remind', 'search']);
    const stream = await after.get();
    const [, [remind, ms] = []] = reminders();
    expect(ms).toBeGreaterThan(0);
    expect(ms).toBeLessThanOrEqual(60_000);
    remind?.();
    await until(() => stream.events.some(isLog('It is time')), { what: 'the reminder' });
    stream.abort();
    for (const { log } of [first, second])
      expect(log.matching(/changed a list|dropped|threw/)).toEqual([]);
  });

  test('reads the header of each call, and works without a session', async () => {
    const served = await serve(factory);
    const one = await served.openSession({}, { headers: { 'x-api-key': 'first' } });
    expect(await say(one, 'search')).toBe('searched with first');
    const renewed = served.client({ headers: { 'x-api-key': 'renewed' }, of: one });
    expect(await say(renewed, 'search')).toBe('searched with renewed');
    const modern = await callModern(served.client(), 'tools/call', {
      name: 'visit',
      arguments: {},
    });
    expect(JSON.stringify(modern)).toContain('a visit without a session');
  });
});

describe('examples/hooks/one-server.ts', () => {
  test('tells the session that follows, and not the session that finishes', async () => {
    expect(oneServer).toBeInstanceOf(McpServer);
    const served = await serve(oneServer);
    const [follower, other] = [served.client(), served.client()];
    for (const client of [follower, other]) await client.initialize();
    const [stream, others] = [await follower.get(), await other.get()];
    expect(await say(follower, 'follow')).toBe('followed');
    expect(await say(other, 'finish')).toBe('finished');
    await until(() => stream.events.some(isLog('the job is done')), { what: 'the log message' });
    expect(others.events.some(isLog('the job is done'))).toBe(false);
    for (const each of [stream, others]) each.abort();
    expect(served.log.matching(/dropped/)).toEqual([]);
  });

  test('cleans up when serve has drained', async () => {
    const cli = startCli([
      'serve',
      program('../../../examples/hooks/one-server.ts'),
      '--port',
      '0',
    ]);
    onTestFinished(() => void cli.kill('SIGKILL'));
    await cli.url();
    cli.kill('SIGTERM');
    const { code, stderr } = await cli.ended();
    expect([code, stderr.trimEnd().split('\n').at(-1)]).toEqual([0, 'cleaned up']);
    expect(stderr).toContain('"msg":"This instance has drained"');
    expect(stderr).not.toContain('listens for');
  });
});
