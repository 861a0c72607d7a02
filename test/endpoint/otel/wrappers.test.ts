// @module-tag matrix
/** Sentry's and PostHog's wrappers of a server, the real packages: in a factory and around a definition. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RawClient, RawClientOptions } from '../../kit/raw-client.ts';
import { lackOf } from '../../installs/installed.ts';
import { startNode } from '../../kit/child-process.ts';
import { textOf } from '../../kit/lab.ts';
import { callModern } from '../../kit/modern.ts';
import { sharedTarget } from '../../kit/shared-stores.ts';
import { until } from '../../kit/until.ts';
import { openClient } from '../../kit/listening.ts';

const PROGRAM = join(import.meta.dirname, 'processes/wrapped.mjs');
const lacks = lackOf('wrappers');

interface SentEvent {
  readonly kind: 'span' | 'error' | 'event';
  readonly name: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

async function start(wrapper: string, version: string, form: string, file: string) {
  const { child, output, says } = startNode([PROGRAM, wrapper, version, form, file]);
  const url = await says(/^url (.*)$/m);
  const events = () =>
    [...output.stdout.matchAll(/^event (\{.*\})$/gm)].map(
      ([, json = '']) => JSON.parse(json) as SentEvent,
    );
  const has = (expected: string[]) =>
    until(
      () => {
        const names = events().map(({ name }) => name);
        return expected.every((name) => names.includes(name));
      },
      { what: `${expected.join(', ')} in ${output.stdout} ${output.stderr}` },
    );
  const client = (options?: RawClientOptions) => openClient(url, options);
  return { child, events, has, client };
}

const FORMS = ['factory', 'definition'].flatMap((form) =>
  ['1', '2'].map((version) => [form, version] as const),
);

type Started = Awaited<ReturnType<typeof start>>;

/** The session of `client` continues at `second` after a crash of `first`. */
async function continues(
  client: RawClient,
  first: Started,
  second: Started,
  echo: object,
): Promise<void> {
  first.child.kill('SIGKILL');
  const later = second.client({ of: client });
  expect(textOf((await later.call('tools/call', echo)).message)).toBe('hello');
}

describe.skipIf(lacks !== '').each(FORMS)(
  `a %s of version %s of the SDK${lacks}`,
  (form, version) => {
    test(
      'Sentry has a span for each request and the errors, also after a crash',
      { timeout: 90_000 },
      async () => {
        const file = sharedTarget('sqlite');
        const [first, second] = [
          await start('sentry', version, form, file),
          await start('sentry', version, form, file),
        ];
        const client = first.client();
        await client.initialize();
        const echo = { name: 'echo', arguments: { value: 'hello' } };
        expect(textOf((await client.call('tools/call', echo)).message)).toBe('hello');
        const { message } = await client.call('tools/call', { ...echo, name: 'fails' });
        expect(message.result).toMatchObject({ isError: true });
        await first.has([
          'initialize',
          'notifications/initialized',
          'tools/call echo',
          'tools/call fails',
          'it failed',
        ]);
        expect(
          first
            .events()
            .map(({ kind, name }) => `${kind} ${name}`)
            .toSorted(),
        ).toEqual([
          'error it failed',
          'span initialize',
          'span notifications/initialized',
          'span tools/call echo',
          'span tools/call fails',
        ]);

        await continues(client, first, second, echo);
        await second.has(['tools/call echo']);
        const restored = second.events().find(({ name }) => name === 'initialize');
        // The page says so, and how to drop it.
        expect(restored?.data?.['mcp.request.id']).toBe('sojourn.replay.initialize');
        expect(second.events().find(({ name }) => name === 'tools/call echo')?.data).toMatchObject({
          'mcp.session.id': client.sessionId,
          'mcp.client.name': 'raw-client',
          'mcp.tool.name': 'echo',
          'mcp.request.argument.value': '"hello"',
        });
        if (version === '1') return;
        await callModern(second.client(), 'tools/call', { ...echo, name: 'fails' });
        await second.has(['tools/call fails', 'it failed']);
      },
    );

    test(
      'PostHog has an event for each request, in one session, also after a crash',
      { timeout: 90_000 },
      async () => {
        const file = sharedTarget('sqlite');
        const [first, second] = [
          await start('posthog', version, form, file),
          await start('posthog', version, form, file),
        ];
        const client = first.client();
        await client.initialize();
        const { message } = await client.call('tools/list');
        expect(JSON.stringify(message.result)).toContain('For analytics only');
        // The wrapper adds the argument, and takes it away before the tool runs.
        const echo = { name: 'echo', arguments: { value: 'hello', context: 'the reason' } };
        expect(textOf((await client.call('tools/call', echo)).message)).toBe('hello');
        await client.call('tools/call', { ...echo, name: 'fails' });
        const told = () =>
          first
            .events()
            .map(({ name, data }) => `${name} ${String(data?.['$mcp_tool_name'] ?? '')}`.trim());
        await until(() => told().length >= 5, { what: 'five events' });
        expect(told().toSorted()).toEqual([
          '$exception fails',
          '$mcp_initialize',
          '$mcp_tool_call echo',
          '$mcp_tool_call fails',
          '$mcp_tools_list',
        ]);

        await continues(client, first, second, echo);
        await second.has(['$mcp_tool_call']);
        const sessions = [first, second].flatMap(({ events }) =>
          events().map(({ data }) => data?.['$session_id']),
        );
        expect(new Set(sessions).size).toBe(1);
        if (version === '1') return;
        await callModern(second.client(), 'tools/call', { ...echo, name: 'fails' });
        await second.has(['$exception']);
      },
    );
  },
);
