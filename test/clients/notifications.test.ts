/** What the official clients receive without a request: on their GET stream, or on a 2026-07-28 subscription. */
import { describe, expect, test } from 'vitest';
import { until } from '../kit/until.ts';
import { openFeatures, overFaces, sessionOf } from './feature-server.ts';
import { sessionClients, sseClients } from './official.ts';

const methods = (messages: ReadonlyArray<{ method?: string }>) =>
  messages.flatMap(({ method }) => (method === undefined ? [] : [method]));

describe.each(overFaces([...sessionClients, ...sseClients]))('the %s client on the face %s', (_name, face, connect) => {
  const open = async () => {
    const opened = await openFeatures(face, connect, { roots: () => ({ roots: [] }) });
    await opened.listening;
    return opened;
  };

  test('B36 is notified of a new tool', async () => {
    const { say, client, notifications } = await open();
    const names = async () => (await client.listTools()).tools.map((tool) => tool.name);
    expect(await names()).not.toContain('hidden');
    expect(await say('reveal')).toBe('look again');
    await until(() => notifications('notifications/tools/list_changed').length > 0, { what: 'the notification' });
    expect(await names()).toContain('hidden');
    expect(await say('hidden')).toBe('found');
  });

  test('is notified by the endpoint of changed lists, and of the resources that it watches', async () => {
    const { client, endpoint, messages, notifications } = await open();
    await client.subscribeResource({ uri: 'note://alpha' });
    endpoint.notify.resourceUpdated('note://beta');
    endpoint.notify.resourceUpdated('note://alpha');
    endpoint.notify.toolsChanged();
    endpoint.notify.promptsChanged();
    endpoint.notify.resourcesChanged();
    await until(() => methods(messages).length === 4, { what: 'four notifications' });
    expect(methods(messages)).toEqual([
      'notifications/resources/updated',
      'notifications/tools/list_changed',
      'notifications/prompts/list_changed',
      'notifications/resources/list_changed',
    ]);
    expect(notifications('notifications/resources/updated')[0]?.params).toEqual({ uri: 'note://alpha' });
    await client.unsubscribeResource({ uri: 'note://alpha' });
    endpoint.notify.resourceUpdated('note://alpha');
    endpoint.notify.toolsChanged();
    await until(() => notifications('notifications/tools/list_changed').length === 2, { what: 'the last one' });
    expect(notifications('notifications/resources/updated')).toHaveLength(1);
  });

  test('gets the log of a call during the call, from the level that it asked for', async () => {
    const { say, client, messages } = await open();
    await client.setLoggingLevel('error');
    await say('log');
    const logged = messages.filter(({ method }) => method === 'notifications/message');
    expect(logged.map(({ params }) => params)).toEqual([{ level: 'error', data: 'big' }]);
  });

  test('tells its server that its folders have changed', async () => {
    const opened = await open();
    const { features, client } = opened;
    await client.sendRootsListChanged();
    await until(() => features.rootsChanged.length === 1, { what: 'the notification' });
    expect(features.rootsChanged).toEqual([await sessionOf(opened)]);
  });
});
