/** `telemetry()` with the real SDKs of OpenTelemetry, versions 2 and 3: spans and metrics of two processes. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { sessionHash } from '../../src/base/shown.ts';
import type { RawClient, RawClientOptions } from '../kit/raw-client.ts';
import { installed, lackOf } from '../installs/installed.ts';
import { startNode } from '../kit/child-process.ts';
import { textOf } from '../kit/lab.ts';
import { callModern, type ModernRequest } from '../kit/modern.ts';
import { inMatrix } from '../kit/matrix.ts';
import { sharedTarget } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { openClient } from '../kit/listening.ts';
import { TaskClient } from '../durable/tasks/kit.ts';

const INSTANCE = join(import.meta.dirname, '../endpoint/otel/processes/instance.mjs');
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const traceparent = `00-${TRACE}-${PARENT}-01`;

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly name: string;
  readonly kind: number;
  readonly status: { readonly code: number; readonly message?: string };
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly parent?: string;
  readonly links: readonly string[];
  readonly events: readonly unknown[];
}

interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly points: ReadonlyArray<{
    readonly attributes: Readonly<Record<string, unknown>>;
    readonly value: unknown;
  }>;
}

const lines = <T>(output: string, kind: string): T[] =>
  [...output.matchAll(new RegExp(`^${kind} (\\{.*\\})$`, 'gm'))].map(
    ([, json = '']) => JSON.parse(json) as T,
  );

/** Version 3 needs Node 22.15. */
function nodeFor(folder: 'otel-2' | 'otel-3'): string {
  return folder === 'otel-2'
    ? process.execPath
    : join(installed('runtimes'), 'node_modules/node-22/bin/node');
}

/** A change of the SDK's next major version shows in the night. */
const SDKS = inMatrix<'otel-2' | 'otel-3'>(['otel-2', 'otel-3'], ['otel-2']);

describe.each(SDKS)('%s', (folder) => {
  const lacks = lackOf(folder) || (folder === 'otel-3' ? lackOf('runtimes') : '');
  beforeEach(({ skip }) => skip(lacks !== '', lacks));

  async function start(file: string, ...more: string[]) {
    const program = nodeFor(folder);
    expect(existsSync(program)).toBe(true);
    const { child, output } = startNode([INSTANCE, file, ...more], {
      program,
      env: { ...process.env, SOJOURN_TEST_OTEL: folder },
    });
    const url = await until(() => /^url (.*)$/m.exec(output.stdout)?.[1] ?? '', {
      what: 'its url',
    });
    const spans = (name?: string) =>
      lines<Span>(output.stdout, 'span').filter((span) => name === undefined || span.name === name);
    const spanOf = (name: string): Promise<Span> =>
      until(() => spans(name).at(-1) as Span, { what: `a span ${name}: ${output.stdout}` });
    const metrics = async (): Promise<Metric[]> => {
      child.kill('SIGUSR2');
      await until(() => lines(output.stdout, 'measured').length > 0);
      return lines<Metric>(output.stdout, 'metric');
    };
    const client = (options?: RawClientOptions): RawClient => openClient(url, options);
    return { child, output, spans, spanOf, metrics, client };
  }

  const call = (name: string, meta: object = {}) =>
    ['tools/call', { name, arguments: { value: 'secret' }, _meta: meta }] as const;

  test('B100 B155 spans have the names of the conventions and the version of each request, and nothing that was said', async () => {
    const { client, spanOf, output, metrics } = await start(sharedTarget('sqlite'));
    const one = client();
    await one.initialize();
    const id = one.nextId();
    await one.call(...call('echo'));
    await one.call(...call('fails'));
    await one.call(...call('invented-by-a-client'));
    await one.call('prompts/get', { name: 'greet', arguments: { who: 'secret' } });
    await one.call('resources/read', { uri: 'note://secret' });
    const common = {
      'mcp.method.name': 'tools/call',
      'mcp.protocol.version': one.protocolVersion,
      'mcp.session.id': sessionHash(one.sessionId ?? ''),
      'network.transport': 'tcp',
      'gen_ai.operation.name': 'execute_tool',
    };
    const echo = await spanOf('tools/call echo');
    expect(echo).toMatchObject({ kind: 1, status: { code: 0 } });
    expect(echo.attributes).toEqual({
      ...common,
      'jsonrpc.request.id': String(id + 1),
      'gen_ai.tool.name': 'echo',
    });
    expect((await spanOf('in the handler')).parent).toBe(echo.spanId);
    const http = await spanOf('HTTP');
    expect(http.traceId).toHaveLength(32);
    const fails = await spanOf('tools/call fails');
    expect([fails.status, fails.attributes['error.type'], fails.events]).toEqual([
      { code: 2 },
      'tool_error',
      [],
    ]);
    const unknown = await spanOf('tools/call _OTHER');
    expect(unknown.attributes).toMatchObject({
      'error.type': '-32602',
      'rpc.response.status_code': '-32602',
    });
    expect((await spanOf('prompts/get greet')).attributes).toMatchObject({
      'gen_ai.prompt.name': 'greet',
    });
    expect(Object.keys((await spanOf('resources/read')).attributes)).not.toContain(
      'mcp.resource.uri',
    );
    expect((await spanOf('initialize')).attributes).toMatchObject({
      'mcp.method.name': 'initialize',
    });
    await callModern(client(), 'tools/call', { name: 'echo', arguments: { value: 'secret' } });
    await until(() => output.stdout.includes('"2026-07-28"'));
    const measured = await metrics();
    const operations = measured.find(({ name }) => name === 'mcp.server.operation.duration');
    expect(operations?.unit).toBe('s');
    const tools = operations?.points.map(({ attributes }) => attributes['gen_ai.tool.name']);
    expect(new Set(tools)).toEqual(new Set([undefined, 'echo', 'fails', '_OTHER']));
    const names = measured.map(({ name }) => name);
    for (const name of [
      'sojourn.sessions.opened',
      'sojourn.sessions.live',
      'sojourn.store.call.duration',
    ])
      expect(names).toContain(name);
    expect(measured.find(({ name }) => name === 'sojourn.sessions.live')?.points[0]?.value).toBe(1);
    expect(measured.find(({ name }) => name === 'sojourn.memory')?.unit).toBe('By');
    expect(output.stdout).not.toMatch(/invented/);
    expect(output.stdout).not.toMatch(/secret/);
    expect(output.stdout).not.toContain(one.sessionId);
  });

  test('the parent is what the client sent, else the span around it', async () => {
    const { client, spanOf, spans } = await start(sharedTarget('sqlite'));
    const one = client();
    await one.initialize();
    await one.call(...call('echo', { traceparent }));
    const sent = await spanOf('tools/call echo');
    await until(() => spans('HTTP').length >= 3);
    const http = spans('HTTP').find(({ spanId }) => sent.links.includes(spanId));
    expect([sent.traceId, sent.parent, http?.name]).toEqual([TRACE, PARENT, 'HTTP']);
    await one.call(...call('fails'));
    const around = await spanOf('tools/call fails');
    await until(() => spans('HTTP').some(({ spanId }) => spanId === around.parent));
    expect(around.links).toEqual([]);
  });

  test('one trace across a relay, and across a kill -9: the killed run has no span', async () => {
    const file = sharedTarget('sqlite');
    const [first, second] = [await start(file, 'bare'), await start(file, 'bare')];
    const one = first.client();
    await one.initialize();
    await one.call('tools/list');
    const other = second.client({ of: one });
    // Relayed: by `_meta`, and by the header.
    await other.call(...call('echo', { traceparent }));
    await other.call(...call('fails'), { headers: { traceparent } });
    for (const name of ['tools/call echo', 'tools/call fails']) {
      const { traceId, parent } = await first.spanOf(name);
      expect([traceId, parent]).toEqual([TRACE, PARENT]);
    }
    expect(second.spans()).toEqual([]);
    const slow = other.call(...call('slow', { traceparent }));
    await until(() => first.output.stdout.includes('begins slow'));
    first.child.kill('SIGKILL');
    expect(textOf((await slow).message)).toBe('slow');
    const again = await second.spanOf('tools/call slow');
    expect([again.traceId, again.parent, again.attributes['sojourn.attempt']]).toEqual([
      TRACE,
      PARENT,
      2,
    ]);
    expect(first.spans('tools/call slow')).toEqual([]);
  });

  test('one trace over the runs of a task: after a park, and after a kill -9, where the span around belongs to another request', async () => {
    const file = sharedTarget('sqlite');
    const [first, second] = [await start(file), await start(file)];
    const [one, other] = [new TaskClient(first.client()), new TaskClient(second.client())];
    const begin = async (name: string, more: ModernRequest) => {
      const { result } = await one.ask('tools/call', { name, arguments: {} }, more);
      return String((result as { taskId: string }).taskId);
    };
    const asks = await begin('asks', { meta: { traceparent } });
    await one.until(asks, 'input_required');
    const parked = await first.spanOf('tools/call asks');
    await other.update(asks, { sure: { action: 'accept', content: {} } });
    const answered = await second.spanOf('tools/call asks');
    for (const span of [parked, answered]) {
      expect([span.traceId, span.parent, span.status.code]).toEqual([TRACE, PARENT, 0]);
      expect(span.attributes).toMatchObject({
        'sojourn.task.id': sessionHash(asks),
        'gen_ai.tool.name': 'asks',
      });
    }
    // The header makes the span of the HTTP request, which is the parent of the first run.
    const film = await begin('film', { headers: { traceparent } });
    await until(() => first.output.stdout.includes('begins film'));
    first.child.kill('SIGKILL');
    await other.ended(film);
    const again = await second.spanOf('tools/call film');
    expect([again.traceId, again.parent]).toEqual([TRACE, PARENT]);
    expect(again.attributes).toMatchObject({
      'sojourn.attempt': 2,
      'sojourn.task.id': sessionHash(film),
    });
    expect(first.spans('tools/call film')).toEqual([]);
    expect(second.output.stdout).not.toContain(film);
    // A run that leaves the rest to others did not fail.
    await other.start('detaches');
    const detached = await second.spanOf('tools/call detaches');
    expect([detached.status.code, detached.attributes['error.type']]).toEqual([0, undefined]);
    const measured = await second.metrics();
    const ended = measured.find(({ name }) => name === 'sojourn.tasks.ended')?.points;
    expect(ended?.map(({ attributes, value }) => [attributes['status'], value])).toEqual([
      ['completed', 2],
    ]);
    for (const name of [
      'sojourn.tasks.running',
      'sojourn.task.duration',
      'sojourn.tasks.continued',
    ])
      expect(measured.map((one) => one.name)).toContain(name);
  });
});
