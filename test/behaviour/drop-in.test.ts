/**
 * What works with the SDK's `createMcpHandler(factory)` works by changing that one call: the same factories, options,
 * adapter and client run against both, and against the endpoint's own node face.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  type AuthInfo,
  createMcpHandler,
  InMemoryServerEventBus,
  type McpServerFactory,
  type ServerEventBus,
  type ServerNotifier,
} from '@modelcontextprotocol/server';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import { createLog } from '../kit/log.ts';
import { callModern, MODERN, postModern } from '../kit/modern.ts';
import { theirFactory } from '../kit/their-factory.ts';
import { until } from '../kit/until.ts';
import { listening, openClient } from '../kit/listening.ts';

interface Options {
  bus?: ServerEventBus;
  responseMode?: 'auto' | 'sse' | 'json';
  onerror?: (error: Error) => void;
}

interface Subject {
  listener: (req: IncomingMessage, res: ServerResponse) => unknown;
  notify: ServerNotifier;
  bus: ServerEventBus;
  close(): Promise<void>;
}

const subjects: Record<string, (factory: McpServerFactory, options?: Options) => Subject> = {
  createMcpHandler: (factory, options) => {
    const handler = createMcpHandler(factory, options);
    return { ...handler, listener: toNodeHandler(handler) as Subject['listener'] };
  },
  createMcpEndpoint: (factory, options) => {
    const endpoint = createMcpEndpoint(factory, { ...options, logger: createLog() });
    return { ...endpoint, listener: toNodeHandler(endpoint) as Subject['listener'] };
  },
  'createMcpEndpoint on its node face': (factory, options) => {
    const endpoint = createMcpEndpoint(factory, { ...options, logger: createLog() });
    return { ...endpoint, listener: endpoint.node };
  },
};

describe.each(Object.entries(subjects))('%s', (_, make) => {
  const open = async (options?: Options, auth?: AuthInfo) => {
    const subject = make(theirFactory, options);
    const server = createServer((req, res) => {
      if (auth !== undefined) Object.assign(req, { auth });
      subject.listener(req, res);
    });
    return { ...subject, url: new URL('/some/path', await listening(server, () => subject.close())) };
  };

  const connect = async (url: URL, headers: Record<string, string> = {}) => {
    const client = new Client({ name: 'client', version: '1' }, { versionNegotiation: { mode: { pin: MODERN } } });
    await client.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
    onTestFinished(() => client.close());
    return client;
  };

  test('who asks, and with what', async () => {
    const { url } = await open({}, { token: 't', clientId: 'app', scopes: [], extra: { sub: 'ada' } });
    const client = await connect(url, { 'x-tenant': 'acme' });
    const { content } = await client.callTool({ name: 'context' });
    expect(JSON.parse((content[0] as { text: string }).text)).toEqual({
      era: 'modern',
      client: 'app',
      same: true,
      header: 'acme',
      requestInfo: 'acme',
      path: '/some/path',
    });
  });

  test('a subscription: what was asked for, and a graceful end', async () => {
    const { url, notify, close } = await open();
    const heard: string[] = [];
    const client = await connect(url);
    client.setNotificationHandler('notifications/tools/list_changed', () => void heard.push('tools'));
    client.setNotificationHandler('notifications/prompts/list_changed', () => void heard.push('prompts'));
    client.setNotificationHandler('notifications/resources/updated', ({ params }) => void heard.push(params.uri));
    const subscription = await client.listen({ toolsListChanged: true, resourceSubscriptions: ['note://1'] });
    expect(subscription.honoredFilter).toEqual({ toolsListChanged: true, resourceSubscriptions: ['note://1'] });
    notify.promptsChanged();
    notify.resourceUpdated('note://2');
    notify.resourceUpdated('note://1');
    notify.toolsChanged();
    await until(() => heard.length === 2);
    expect(heard).toEqual(['note://1', 'tools']);
    await close();
    expect(await subscription.closed).toBe('graceful');
  });

  test('a bus of their own', async () => {
    const bus = new InMemoryServerEventBus();
    const subject = await open({ bus });
    const heard: string[] = [];
    const client = await connect(subject.url);
    client.setNotificationHandler('notifications/tools/list_changed', () => void heard.push('tools'));
    await client.listen({ toolsListChanged: true });
    bus.publish({ kind: 'tools_list_changed' });
    subject.bus.publish({ kind: 'tools_list_changed' });
    await until(() => heard.length === 2);
  });

  test.each([
    ['auto', 'application/json', 'text/event-stream'],
    ['sse', 'text/event-stream', 'text/event-stream'],
    ['json', 'application/json', 'application/json'],
  ] as const)('responseMode %s: an answer alone is %s, one after progress %s', async (responseMode, alone, after) => {
    const { url } = await open({ responseMode });
    const client = openClient(String(url));
    const call = { name: 'count', arguments: { steps: 2 } };
    const quiet = await callModern(client, 'tools/call', call);
    expect(quiet.response.header('content-type')).toBe(alone);
    const meta = { progressToken: 'p' };
    const talking = await callModern(client, 'tools/call', call, { meta });
    expect(talking.response.header('content-type')).toBe(after);
    const progress = talking.response.events.filter(({ data }) => data?.includes('notifications/progress'));
    expect(progress).toHaveLength(after === 'text/event-stream' ? 2 : 0);
    for (const { message } of [quiet, talking])
      expect(message.result).toMatchObject({ resultType: 'complete', content: [{ type: 'text', text: '2' }] });
    const listening = await postModern(client, 'subscriptions/listen', { notifications: { toolsListChanged: true } });
    expect(listening.header('content-type')).toBe('text/event-stream');
    expect(await listening.nextMessage()).toMatchObject({ method: 'notifications/subscriptions/acknowledged' });
  });

  test('onerror hears what the SDK refuses', async () => {
    const errors: Error[] = [];
    const { url } = await open({ onerror: (error) => errors.push(error) });
    const { response } = await callModern(
      openClient(String(url)),
      'tools/list',
      {},
      { meta: { 'io.modelcontextprotocol/clientCapabilities': 7 } },
    );
    expect(response.status).toBe(400);
    expect(errors.map(({ message }) => message)).toEqual([expect.stringContaining('clientCapabilities')]);
  });
});
