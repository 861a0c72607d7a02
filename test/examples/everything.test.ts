/** The "everything" example, used by the official client in both eras. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import everything from '../../examples/everything/server.ts';
import { createMcpEndpoint, type McpEndpoint } from '../../src/index.ts';
import { connectNegotiating, connectV2, type OfficialClient } from '../clients/official.ts';
import { until } from '../kit/until.ts';

let endpoint: McpEndpoint;
let served: { url: string; close(): Promise<void> };

beforeAll(async () => {
  endpoint = createMcpEndpoint(everything.factory, everything.options);
  served = await endpoint.listen({ port: 0 });
});

afterAll(async () => {
  await endpoint.close();
  await served.close();
});

/** What the users of these tests answer, by the message they are shown. */
const answers: Record<string, Record<string, string | number | boolean>> = {
  'Who are you?': { name: 'Ada', colour: 'green' },
  'A table at Chez Nous?': { guests: 4, day: 'Friday' },
  'Chez Nous, Friday, for 4: shall I book it?': { confirmed: true },
};

/** A client of this era, with a person and a model behind it. */
async function open(era: '2025-11-25' | '2026-07-28'): Promise<OfficialClient> {
  const client = await (era === '2025-11-25' ? connectV2 : connectNegotiating)(served.url, {
    sample: () => ({ role: 'assistant', model: 'test', content: { type: 'text', text: 'forty-two' } }),
    elicit: ({ mode, message }) => ({
      action: 'accept',
      ...(mode !== 'url' && { content: answers[String(message)] ?? {} }),
    }),
    roots: () => ({ roots: [{ uri: 'file:///home/ada', name: 'home' }] }),
  });
  expect(client.protocolVersion()).toBe(era);
  // What is announced before the client has opened its GET stream reaches no client.
  if (client.sessionId !== undefined) await client.listening;
  return client;
}

describe.each(['2025-11-25', '2026-07-28'] as const)('a client of %s', (era) => {
  it.each([
    ['echo', { message: 'hi' }, 'hi'],
    ['add', { a: 2, b: 3 }, '5'],
    ['media', {}, 'image audio resource resource_link'],
    ['fail', {}, 'This tool always fails.'],
    ['count', { steps: 2, delayMs: 0 }, 'Counted to 2.'],
    ['log', { message: 'x' }, 'Logged at info.'],
    ['ask-model', { question: 'What is it?' }, 'The model says: {"type":"text","text":"forty-two"}'],
    ['ask-user', {}, 'Hello Ada, green it is.'],
    ['ask-user-url', {}, 'The user chose to accept.'],
    ['list-roots', {}, 'home: file:///home/ada'],
    ['book-table', { restaurant: 'Chez Nous' }, 'Booked: Chez Nous, Friday, for 4.'],
  ])('calls %s', async (name, args, answer) => {
    const { say } = await open(era);
    expect(await say(name, args)).toBe(answer);
  });

  it('reads resources and completes their names', async () => {
    const { client } = await open(era);
    const { resources } = await client.listResources();
    expect(resources.map(({ uri }) => uri)).toEqual(
      expect.arrayContaining(['everything://about', 'everything://pixel', 'note://welcome']),
    );
    const { contents } = await client.readResource({ uri: 'note://welcome' });
    expect(contents[0]).toMatchObject({ mimeType: 'text/plain', uri: 'note://welcome' });
    await expect(client.readResource({ uri: 'note://unknown' })).rejects.toMatchObject({ code: -32602 });
    const { completion } = await client.complete({
      ref: { type: 'ref/resource', uri: 'note://{name}' },
      argument: { name: 'name', value: 'wel' },
    });
    expect(completion.values).toEqual(['welcome']);
  });

  it('gets prompts and completes their arguments', async () => {
    const { client } = await open(era);
    const { messages } = await client.getPrompt({ name: 'review', arguments: { language: 'go', code: 'x := 1' } });
    expect(messages[0]?.content).toEqual({ type: 'text', text: 'Review this go code:\n\nx := 1' });
    const { completion } = await client.complete({
      ref: { type: 'ref/prompt', name: 'review' },
      argument: { name: 'language', value: 'ru' },
    });
    expect(completion.values).toEqual(['ruby', 'rust']);
  });

  it('is notified when a note changes that it watches', async () => {
    const { client, say, listen, notifications } = await open(era);
    await say('write-note', { name: `watched-${era}`, text: 'one' });
    const uri = `note://watched-${era}`;
    if (era === '2025-11-25') await client.subscribeResource({ uri });
    else await listen({ resourceSubscriptions: [uri] });
    await say('write-note', { name: 'welcome', text: 'not watched' });
    await say('write-note', { name: `watched-${era}`, text: 'two' });
    const updated = () =>
      notifications('notifications/resources/updated').map(({ params }) => params?.['uri'] as string);
    await until(() => updated().length > 0, { what: 'the update' });
    expect(updated()).toEqual([uri]);
  });

  it('is notified of a new note', async () => {
    const { say, listen, notifications } = await open(era);
    if (era === '2026-07-28') await listen({ resourcesListChanged: true });
    await say('write-note', { name: `new-${era}`, text: 'here' });
    const changes = () => notifications('notifications/resources/list_changed').length;
    await until(() => changes() > 0, { what: 'the change' });
    expect(changes()).toBe(1);
  });
});

describe('what a session keeps', () => {
  it('counts the calls of each session', async () => {
    const [ada, bob] = [await open('2025-11-25'), await open('2025-11-25')];
    expect(await ada.say('counter')).toBe('This session called me 1 time.');
    expect(await ada.say('counter')).toBe('This session called me 2 times.');
    expect(await bob.say('counter')).toBe('This session called me 1 time.');
  });

  it('shows a tool that the session unlocked', async () => {
    const { client, say, notifications } = await open('2025-11-25');
    const names = async () => (await client.listTools()).tools.map(({ name }) => name);
    expect(await names()).not.toContain('secret');
    await say('unlock');
    await until(() => notifications('notifications/tools/list_changed').length > 0, { what: 'the change' });
    expect(await names()).toContain('secret');
    expect(await say('secret')).toBe('Sessions may outlive their process.');
  });
});
