/** What the official clients receive without a request: on their GET stream, or on a 2026-07-28 subscription. */
import { describe, expect, test } from 'vitest';
import { currentSession } from '../../src/index.ts';
import { until } from '../kit/until.ts';
import { createLab } from '../kit/lab.ts';
import { faces } from '../kit/serve.ts';
import { openExample, openLab, overFaces, sessionOf } from './opened.ts';
import { connectNegotiating, sessionClients, sseClients } from './official.ts';

const methods = (messages: ReadonlyArray<{ method?: string }>) =>
  messages.flatMap(({ method }) => (method === undefined ? [] : [method]));

describe.each(overFaces([...sessionClients, ...sseClients]))(
  'the %s client on the face %s',
  (_name, face, connect) => {
    const open = async (lab = createLab()) => {
      const opened = await openLab(face, connect, { roots: () => ({ roots: [] }) }, lab);
      await opened.listening;
      return opened;
    };

    test('B36 is notified of a tool that its session unlocked', async () => {
      const { say, client, notifications, listening } = await openExample(face, connect);
      await listening;
      const names = async () => (await client.listTools()).tools.map((tool) => tool.name);
      expect(await names()).not.toContain('secret');
      expect(await say('unlock')).toBe('Look at the list of tools again.');
      await until(() => notifications('notifications/tools/list_changed').length > 0, {
        what: 'the notification',
      });
      expect(await names()).toContain('secret');
      expect(await say('secret')).toBe('Sessions may outlive their process.');
    });

    test('is notified by the endpoint of changed lists, and of the resources that it watches', async () => {
      const { client, endpoint, messages, notifications, listening } = await openExample(
        face,
        connect,
      );
      await listening;
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
      expect(notifications('notifications/resources/updated')[0]?.params).toEqual({
        uri: 'note://alpha',
      });
      await client.unsubscribeResource({ uri: 'note://alpha' });
      endpoint.notify.resourceUpdated('note://alpha');
      endpoint.notify.toolsChanged();
      await until(() => notifications('notifications/tools/list_changed').length === 2, {
        what: 'the last one',
      });
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
      const from: unknown[] = [];
      const lab = createLab(({ server }) => {
        server.setNotificationHandler(
          'notifications/roots/list_changed',
          () => void from.push(currentSession()?.id),
        );
      });
      const opened = await open(lab);
      await opened.client.sendRootsListChanged();
      await until(() => from.length === 1, { what: 'the notification' });
      expect(from).toEqual([await sessionOf(opened)]);
    });
  },
);

test.each(faces)(
  'the negotiating client on the face %s is notified of its note, and of a new one',
  async (face) => {
    const { say, listen, notifications } = await openExample(face, connectNegotiating);
    const note = `watched-${face}`;
    const uri = `note://${note}`;
    await say('write-note', { name: note, text: 'one' });
    await listen({ resourceSubscriptions: [uri], resourcesListChanged: true });
    await say('write-note', { name: 'welcome', text: 'not watched' });
    await say('write-note', { name: note, text: 'two' });
    await say('write-note', { name: `${note}-new`, text: 'here' });
    await until(() => notifications('notifications/resources/list_changed').length === 1, {
      what: 'the change',
    });
    expect(
      notifications('notifications/resources/updated').map(({ params }) => params?.['uri']),
    ).toEqual([uri]);
  },
);
