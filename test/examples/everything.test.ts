/** The "everything" example, used by the official client in both eras. */
import { Client, type ClientOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import everything from '../../examples/everything/server.ts';
import { createMcpEndpoint, type McpEndpoint } from '../../src/index.ts';

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

const eras = {
  '2025-11-25': {},
  '2026-07-28': { versionNegotiation: { mode: { pin: '2026-07-28' } } },
} satisfies Record<string, ClientOptions>;

/** What the users of these tests answer, by the message they are shown. */
const answers: Record<string, Record<string, string | number | boolean>> = {
  'Who are you?': { name: 'Ada', colour: 'green' },
  'A table at Chez Nous?': { guests: 4, day: 'Friday' },
  'Chez Nous, Friday, for 4: shall I book it?': { confirmed: true },
};

async function connect(options: ClientOptions, configure: (client: Client) => void = () => {}) {
  const capabilities = { sampling: {}, elicitation: { form: {}, url: {} }, roots: {} };
  const client = new Client({ name: 'test', version: '1.0.0' }, { ...options, capabilities });
  client.setRequestHandler('sampling/createMessage', () => ({
    role: 'assistant',
    model: 'test',
    content: { type: 'text', text: 'forty-two' },
  }));
  client.setRequestHandler('elicitation/create', ({ params }) => ({
    action: 'accept',
    ...(params.mode !== 'url' && { content: answers[params.message] ?? {} }),
  }));
  client.setRequestHandler('roots/list', () => ({ roots: [{ uri: 'file:///home/ada', name: 'home' }] }));
  configure(client);
  const { transport, streaming } = openTransport();
  await client.connect(transport);
  onTestFinished(() => client.close());
  // What is announced before the client has opened its GET stream reaches no client.
  if (transport.sessionId !== undefined) await streaming;
  const call = async (name: string, args: Record<string, unknown> = {}) => {
    const { content } = await client.callTool({ name, arguments: args });
    return content.map((item) => (item.type === 'text' ? item.text : item.type)).join(' ');
  };
  return { client, call };
}

function openTransport() {
  let opened: () => void;
  const streaming = new Promise<void>((resolve) => (opened = resolve));
  const transport = new StreamableHTTPClientTransport(new URL(served.url), {
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      if (init?.method === 'GET' && response.ok) opened();
      return response;
    },
  });
  return { transport, streaming };
}

describe.each(Object.entries(eras))('a client of %s', (era, options) => {
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
    const { call } = await connect(options);
    expect(await call(name, args)).toBe(answer);
  });

  it('reads resources and completes their names', async () => {
    const { client } = await connect(options);
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
    const { client } = await connect(options);
    const { messages } = await client.getPrompt({ name: 'review', arguments: { language: 'go', code: 'x := 1' } });
    expect(messages[0]?.content).toEqual({ type: 'text', text: 'Review this go code:\n\nx := 1' });
    const { completion } = await client.complete({
      ref: { type: 'ref/prompt', name: 'review' },
      argument: { name: 'language', value: 'ru' },
    });
    expect(completion.values).toEqual(['ruby', 'rust']);
  });

  it('is notified when a note changes that it watches', async () => {
    const updated = vi.fn();
    const { client, call } = await connect(options, (c) =>
      c.setNotificationHandler('notifications/resources/updated', ({ params }) => void updated(params.uri)),
    );
    await call('write-note', { name: `watched-${era}`, text: 'one' });
    const uri = `note://watched-${era}`;
    if (era === '2025-11-25') await client.subscribeResource({ uri });
    else await client.listen({ resourceSubscriptions: [uri] });
    await call('write-note', { name: 'welcome', text: 'not watched' });
    await call('write-note', { name: `watched-${era}`, text: 'two' });
    await vi.waitFor(() => expect(updated.mock.calls).toEqual([[uri]]));
  });

  it('is notified of a new note', async () => {
    const changed = vi.fn();
    const { client, call } = await connect(options, (c) =>
      c.setNotificationHandler('notifications/resources/list_changed', changed),
    );
    if (era === '2026-07-28') await client.listen({ resourcesListChanged: true });
    await call('write-note', { name: `new-${era}`, text: 'here' });
    await vi.waitFor(() => expect(changed).toHaveBeenCalledOnce());
  });
});

describe('what a session keeps', () => {
  it('counts the calls of each session', async () => {
    const [ada, bob] = [await connect(eras['2025-11-25']), await connect(eras['2025-11-25'])];
    expect(await ada.call('counter')).toBe('This session called me 1 time.');
    expect(await ada.call('counter')).toBe('This session called me 2 times.');
    expect(await bob.call('counter')).toBe('This session called me 1 time.');
  });

  it('shows a tool that the session unlocked', async () => {
    const changed = vi.fn();
    const { client, call } = await connect(eras['2025-11-25'], (c) =>
      c.setNotificationHandler('notifications/tools/list_changed', changed),
    );
    const names = async () => (await client.listTools()).tools.map(({ name }) => name);
    expect(await names()).not.toContain('secret');
    await call('unlock');
    await vi.waitFor(() => expect(changed).toHaveBeenCalled());
    expect(await names()).toContain('secret');
    expect(await call('secret')).toBe('Sessions may outlive their process.');
  });
});
