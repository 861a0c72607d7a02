/**
 * The official clients where an endpoint serves less, or otherwise: older revisions, JSON answers, nothing to resume.
 */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { until } from '../kit/until.ts';
import { openFeatures, overFaces } from './feature-server.ts';
import { sessionClients } from './official.ts';

describe.each(overFaces(sessionClients))('the %s client on the face %s', (_name, face, connect) => {
  const open = async (options: McpEndpointOptions) => {
    const elicit = () => ({ action: 'accept', content: { colour: 'red' } });
    const opened = await openFeatures(face, connect, { elicit, options });
    await opened.listening;
    return opened;
  };

  test.each(['2025-06-18', '2025-03-26'])('speaks %s with a server that knows nothing newer', async (version) => {
    const { say, protocolVersion, features, notifications, requests } = await open({
      supportedProtocolVersions: [version],
    });
    expect(protocolVersion()).toBe(version);
    expect(await say('add', { a: 1, b: 2 })).toBe('3');
    expect(await say('ask')).toBe('accept {"colour":"red"}');
    await features.made[0]?.server.sendLoggingMessage({ level: 'info', data: 'hello' });
    await until(() => notifications('notifications/message').length === 1, { what: 'a message on the GET stream' });
    expect(requests.filter((request) => request.startsWith('GET'))).toEqual(['GET']);
  });

  test('gets JSON answers, and on its GET stream what comes before them', async () => {
    const { say, messages } = await open({ responseMode: 'json' });
    expect(await say('echo', { text: 'one body' })).toBe('one body');
    expect(await say('steps', { steps: 3 }, { onprogress: () => {} })).toBe('counted to 3');
    await until(() => messages.filter(({ method }) => method === 'notifications/progress').length === 3, {
      what: 'the progress on the GET stream',
    });
    expect(await say('ask')).toBe('accept {"colour":"red"}');
  });
});
