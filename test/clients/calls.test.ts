/** Every kind of call, by the official clients of both lines, over both faces, at the example that has everything. */
import { describe, expect, test } from 'vitest';
import { until } from '../kit/until.ts';
import { openExample, openLab, overFaces } from './opened.ts';
import {
  connectNegotiating,
  sessionClients,
  sseClients,
  type Connect,
  type ConnectOptions,
} from './official.ts';

const clients = [
  ...sessionClients,
  ...sseClients,
  ['v2, negotiating', connectNegotiating] as const,
];
const versions = new Map<Connect, string>([
  ...sessionClients.map(([, connect]) => [connect, '2025-11-25'] as const),
  [connectNegotiating, '2026-07-28'],
]);

/** What the users of these tests answer, by the message they are shown. */
const ANSWERS: Readonly<Record<string, object>> = {
  'Who are you?': { name: 'Ada', colour: 'green' },
  'A table at Chez Nous?': { guests: 4, day: 'Friday' },
  'Chez Nous, Friday, for 4: shall I book it?': { confirmed: true },
};

const TOOLS: ReadonlyArray<readonly [name: string, args: Record<string, unknown>, answer: string]> =
  [
    ['media', {}, 'image audio resource resource_link'],
    ['log', { message: 'x' }, 'Logged at info.'],
    [
      'ask-model',
      { question: 'What is it?' },
      'The model says: {"type":"text","text":"forty-two"}',
    ],
    ['ask-user', {}, 'Hello Ada, green it is.'],
    ['ask-user-url', {}, 'The user chose to accept.'],
    ['list-roots', {}, 'home: file:///home/ada'],
    ['book-table', { restaurant: 'Chez Nous' }, 'Booked: Chez Nous, Friday, for 4.'],
  ];

describe.each(overFaces(clients))('the %s client on the face %s', (name, face, connect) => {
  const open = (behind?: ConnectOptions) => openExample(face, connect, behind);
  const version = versions.get(connect);
  const modern = version === '2026-07-28';

  test('learns who the server is', async () => {
    const { client, protocolVersion, sessionId } = await open();
    expect(client.getServerVersion()).toMatchObject({ name: 'everything', version: '1.0.0' });
    expect(client.getInstructions()).toContain('A demonstration');
    expect(client.getServerCapabilities()).toMatchObject({
      tools: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      prompts: { listChanged: true },
      completions: {},
      logging: {},
    });
    if (version !== undefined) expect(protocolVersion()).toBe(version);
    expect(sessionId === undefined).toBe(modern || name.endsWith('SSE'));
  });

  test('tells a tool that failed from a call that was refused', async () => {
    const { callTool, client } = await open();
    const failed = await callTool('fail');
    expect(failed).toMatchObject({
      isError: true,
      content: [{ type: 'text', text: 'This tool always fails.' }],
    });
    expect(JSON.stringify(failed)).not.toContain('content.ts');
    const wrong = await callTool('add', { a: 'two' });
    expect(wrong).toMatchObject({ isError: true });
    expect(wrong.content?.[0]?.text).toContain('Input validation error');
    await expect(callTool('unknown')).rejects.toMatchObject({
      code: -32_602,
      message: expect.stringContaining('Tool unknown not found'),
    });
    await expect(client.readResource({ uri: 'everything://nowhere' })).rejects.toMatchObject({
      code: -32_602,
      message: expect.stringContaining('everything://nowhere'),
    });
    await expect(client.getPrompt({ name: 'unknown' })).rejects.toMatchObject({ code: -32_602 });
  });

  test('gets back what it sent, however large, in whatever script', async () => {
    const { say } = await open();
    const odd = 'Grüße, 世界 👩‍🚀 \u2028\u2029\u0000 "quotes" \r\n data: x\n\nid: 7';
    expect(await say('echo', { message: odd })).toBe(odd);
    const large = odd.repeat(50_000);
    expect((await say('echo', { message: large })) === large).toBe(true);
  });

  test('lists, reads, gets and completes, and checks an output against its schema', async () => {
    const { client, callTool } = await open();
    const { tools } = await client.listTools();
    expect(tools.find(({ name }) => name === 'add')?.outputSchema).toMatchObject({
      required: ['sum'],
    });
    expect(await callTool('add', { a: 2, b: 40 })).toMatchObject({
      structuredContent: { sum: 42 },
    });
    const { resources } = await client.listResources();
    expect(resources.map(({ uri }) => uri)).toEqual(
      expect.arrayContaining(['everything://pixel', 'note://welcome']),
    );
    const pixel = await client.readResource({ uri: 'everything://pixel' });
    expect(pixel.contents).toMatchObject([
      { mimeType: 'image/png', blob: expect.stringMatching(/^iVBOR/) },
    ]);
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toEqual(['note://{name}']);
    const { prompts } = await client.listPrompts();
    expect(prompts.map(({ name }) => name)).toEqual(['introduce', 'review']);
    const { messages } = await client.getPrompt({
      name: 'review',
      arguments: { language: 'go', code: 'x := 1' },
    });
    expect(messages).toEqual([
      { role: 'user', content: { type: 'text', text: 'Review this go code:\n\nx := 1' } },
    ]);
    const ref = { type: 'ref/prompt' as const, name: 'review' };
    const { completion } = await client.complete({
      ref,
      argument: { name: 'language', value: 'ru' },
    });
    expect(completion.values).toEqual(['ruby', 'rust']);
  });

  test('calls each other tool of the example', async () => {
    const { say } = await open({
      sample: () => ({
        role: 'assistant',
        model: 'm',
        content: { type: 'text', text: 'forty-two' },
      }),
      elicit: ({ mode, message }) => ({
        action: 'accept',
        ...(mode !== 'url' && { content: ANSWERS[String(message)] ?? {} }),
      }),
      roots: () => ({ roots: [{ uri: 'file:///home/ada', name: 'home' }] }),
    });
    for (const [name, args, answer] of TOOLS) expect(await say(name, args)).toBe(answer);
    expect([await say('counter'), await say('counter')]).toEqual(['call 1', 'call 2']);
    const [, cart] =
      /^cart (cart_\S+) has 1 items$/.exec((await say('add_to_cart', { item: 'bread' })) ?? '') ??
      [];
    expect(await say('add_to_cart', { item: 'wine', cart })).toBe(`cart ${cart} has 2 items`);
  });

  test('B22 gets every progress of a fast call in order, before its answer', async () => {
    const { say, messages } = await open();
    expect(await say('count', { steps: 5, delayMs: 0 }, { onprogress: () => {} })).toBe(
      'Counted to 5.',
    );
    expect(messages.map(({ params }) => params?.['progress'] ?? 'answer')).toEqual([
      1,
      2,
      3,
      4,
      5,
      'answer',
    ]);
  });

  test('cancels a call, and the handler hears of it', async () => {
    const { lab, callTool, say, messages } = await openLab(face, connect);
    const stop = new AbortController();
    const call = callTool('hold', {}, { signal: stop.signal });
    const held = await lab.held();
    stop.abort(new Error('no longer needed'));
    await expect(call).rejects.toThrow('no longer needed');
    await until(() => held.ctx.mcpReq.signal.aborted, { what: 'the abort of the handler' });
    held.answer('too late');
    expect(await say('echo', { text: 'on time' })).toBe('on time');
    expect(JSON.stringify(messages)).not.toContain('too late');
  });

  test(modern ? 'has no ping in 2026-07-28' : 'pings', async () => {
    const { client, messages } = await open();
    if (modern) {
      await expect(client.ping()).rejects.toThrow('ping');
    } else {
      await client.ping();
      expect(messages).toMatchObject([{ result: {} }]);
    }
  });
});
