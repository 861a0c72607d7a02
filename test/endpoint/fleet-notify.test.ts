import { describe, expect, test } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { serveFleet, serveMember, type Member } from '../kit/fleet.ts';
import { createLab } from '../kit/lab.ts';
import { until as eventually } from '../kit/until.ts';
import { sharedStore, storeKinds, useSharedStores } from '../kit/shared-stores.ts';
import { postModern } from '../kit/modern.ts';

useSharedStores();

/** A session at `member` that reads its GET stream. */
async function reading(member: Member): Promise<{ client: RawClient; stream: RawResponse }> {
  const client = await member.openSession();
  const stream = await client.get();
  return { client, stream };
}

/** A modern client that listens to every list. */
async function listening(member: Member): Promise<RawResponse> {
  const notifications = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
  const stream = await postModern(member.client(), 'subscriptions/listen', { notifications });
  await stream.nextMessage(); // the acknowledgement
  return stream;
}

/** What came, up to the notification `last`. */
async function until(stream: RawResponse, last: string): Promise<string[]> {
  const seen: string[] = [];
  for (;;) {
    const { method } = (await stream.nextMessage()) as { method: string };
    seen.push(method);
    if (method === last) return seen;
  }
}

const TOOLS = 'notifications/tools/list_changed';

describe.each(storeKinds)('on the store %s', (kind) => {
  test('notify on one instance reaches the sessions and the listen streams of every instance', async () => {
    const members = await serveFleet(3, { store: sharedStore(kind) });
    const sessions = await Promise.all(members.map(reading));
    const streams = [...sessions.map(({ stream }) => stream), ...(await Promise.all(members.map(listening)))];
    for (const { endpoint } of members) {
      endpoint.notify.toolsChanged();
      for (const stream of streams) expect(await until(stream, TOOLS)).toEqual([TOOLS]);
    }
  });

  test('a session is not told of what its server does not announce', async () => {
    const store = sharedStore(kind);
    const a = await serveMember({ store: store() });
    const withPrompts = createLab((server) => void server.registerPrompt('new', {}, () => ({ messages: [] })));
    const b = await serveMember({ store: store() }, {}, withPrompts);
    const [none, some] = [await reading(a), await reading(b)];
    a.endpoint.notify.promptsChanged();
    a.endpoint.notify.toolsChanged();
    expect(await until(none.stream, TOOLS)).toEqual([TOOLS]);
    expect(await until(some.stream, TOOLS)).toEqual(['notifications/prompts/list_changed', TOOLS]);
  });

  test('a bus event of the user reaches the listeners of endpoint.bus on every instance, once', async () => {
    const members = await serveFleet(3, { store: sharedStore(kind) });
    const heard: string[] = [];
    members.forEach(({ endpoint }, n) => endpoint.bus.subscribe((event) => void heard.push(`${n} ${event.kind}`)));
    members[1]?.endpoint.bus.publish({ kind: 'tools_list_changed' });
    await eventually(() => heard.length === 3);
    await members[0]?.client().initialize(); // a whole round trip: nothing comes twice
    expect(heard.toSorted()).toEqual(['0 tools_list_changed', '1 tools_list_changed', '2 tools_list_changed']);
  });
});
