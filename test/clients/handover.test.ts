/** A session that goes from one endpoint to another (one store, one process) under the official clients. */
import { describe, expect, test } from 'vitest';
import { memory } from '../../src/stores/memory/index.ts';
import { faces, serve, type Face } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { createFeatureServer } from './feature-server.ts';
import { sessionClients, type Connect, type ConnectOptions } from './official.ts';
import { createSlowPerson } from './slow-person.ts';

const cases = faces.flatMap((face) =>
  sessionClients.map(([name, connect]): [string, Face, Connect] => [name, face, connect]),
);

describe.each(cases)('the %s client on the face %s', (_name, face, connect) => {
  /** Two endpoints; the client's requests go to `serving`. */
  const open = async (behind?: ConnectOptions) => {
    const features = createFeatureServer();
    const store = memory();
    const pair = [
      await serve(features.factory, { store, retryMs: 5 }, { face }),
      await serve(features.factory, { store, retryMs: 5 }, { face }),
    ] as const;
    const balancer = { serving: 0 as 0 | 1 };
    const client = await connect(pair[0].url, { ...behind, route: () => pair[balancer.serving].url });
    await client.listening;
    return { ...client, features, balancer, first: pair[0].endpoint, second: pair[1].endpoint };
  };

  test('continues at the second when the first drains, and notices nothing', async () => {
    const { features, client, say, balancer, first, second, notifications, sessionId, errors } = await open();
    await client.setLoggingLevel('error');
    await client.subscribeResource({ uri: 'note://alpha' });
    expect(await say('count-in-state')).toBe('1');
    balancer.serving = 1;
    expect(await first.drain()).toEqual({ released: 1, interrupted: 0 });
    expect([await say('count-in-state'), await say('who')]).toEqual(['2', sessionId]);
    expect(second.sessions.count).toBe(1);
    await say('log', { level: 'debug', data: 'quiet' });
    await say('log', { level: 'error', data: 'loud' });
    expect(notifications('notifications/message').map(({ params }) => params?.['data'])).toEqual(['loud']);
    second.notify.resourceUpdated('note://alpha');
    await until(() => notifications('notifications/resources/updated').length === 1, { what: 'what it watches' });
    await features.made.at(-1)?.server.sendToolListChanged();
    await until(() => notifications('notifications/tools/list_changed').length === 1, { what: 'the GET stream' });
    expect(features.made).toHaveLength(2);
    expect(errors).toEqual([]);
  });

  test('asks any instance: the owner of the session answers', async () => {
    const person = createSlowPerson();
    const { say, balancer, first, second, sessionId } = await open({ elicit: person.elicit });
    const call = say('ask-colour');
    await person.asked;
    balancer.serving = 1;
    person.answer({ action: 'accept', content: { colour: 'green' } });
    expect(await call).toBe('accept {"colour":"green"}');
    expect(await say('who')).toBe(sessionId);
    expect([first.sessions.count, second.sessions.count]).toEqual([1, 0]);
  });
});
