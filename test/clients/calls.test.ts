/** Every kind of call, by the official clients of both lines, over both faces. */
import { describe, expect, test } from 'vitest';
import { until } from '../kit/until.ts';
import { openFeatures, overFaces } from './feature-server.ts';
import { connectNegotiating, sessionClients, sseClients, type Connect } from './official.ts';

const clients = [...sessionClients, ...sseClients, ['v2, negotiating', connectNegotiating] as const];
const versions = new Map<Connect, string>([
  ...sessionClients.map(([, connect]) => [connect, '2025-11-25'] as const),
  [connectNegotiating, '2026-07-28'],
]);

describe.each(overFaces(clients))('the %s client on the face %s', (name, face, connect) => {
  const open = () => openFeatures(face, connect);
  const version = versions.get(connect);
  const modern = version === '2026-07-28';

  test('learns who the server is', async () => {
    const { client, protocolVersion, sessionId } = await open();
    expect(client.getServerVersion()).toMatchObject({ name: 'lab', version: '1.0.0' });
    expect(client.getInstructions()).toBe('Call anything.');
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

  test('lists the tools and gets what fits their output schema', async () => {
    const { client, callTool } = await open();
    const { tools } = await client.listTools();
    expect(tools.map((tool) => tool.name)).toEqual(expect.arrayContaining(['add', 'hold']));
    expect(tools.map((tool) => tool.name)).not.toContain('hidden');
    expect(tools.find((tool) => tool.name === 'add')?.outputSchema).toMatchObject({ required: ['sum'] });
    expect(await callTool('add', { a: 2, b: 40 })).toMatchObject({
      content: [{ type: 'text', text: '42' }],
      structuredContent: { sum: 42 },
    });
  });

  test('tells a tool that failed from a call that was refused', async () => {
    const { callTool, client } = await open();
    const failed = await callTool('fail');
    expect(failed).toMatchObject({ isError: true, content: [{ type: 'text', text: 'This tool fails.' }] });
    expect(JSON.stringify(failed)).not.toContain('feature-server');
    const wrong = await callTool('add', { a: 'two' });
    expect(wrong).toMatchObject({ isError: true });
    expect(wrong.content?.[0]?.text).toContain('Input validation error');
    await expect(callTool('unknown')).rejects.toMatchObject({
      code: -32_602,
      message: expect.stringContaining('Tool unknown not found'),
    });
    await expect(client.readResource({ uri: 'features://nowhere' })).rejects.toMatchObject({
      code: -32_602,
      message: expect.stringContaining('features://nowhere'),
    });
    await expect(client.getPrompt({ name: 'unknown' })).rejects.toMatchObject({ code: -32_602 });
  });

  test('gets back what it sent, however large, in whatever script', async () => {
    const { say } = await open();
    const odd = 'Grüße, 世界 👩‍🚀 \u2028\u2029\u0000 "quotes" \r\n data: x\n\nid: 7';
    expect(await say('echo', { text: odd })).toBe(odd);
    const large = odd.repeat(50_000);
    expect((await say('echo', { text: large })) === large).toBe(true);
  });

  test('reads resources, and completes their names', async () => {
    const { client } = await open();
    const { resources } = await client.listResources();
    expect(resources.map(({ uri }) => uri)).toEqual([
      'note://a',
      'features://about',
      'features://pixel',
      'note://alpha',
      'note://beta',
      'note://album',
    ]);
    const { resourceTemplates } = await client.listResourceTemplates();
    expect(resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toEqual(['note://{name}']);
    const about = await client.readResource({ uri: 'features://about' });
    expect(about.contents).toEqual([{ uri: 'features://about', mimeType: 'text/plain', text: 'about' }]);
    const pixel = await client.readResource({ uri: 'features://pixel' });
    expect(pixel.contents).toEqual([{ uri: 'features://pixel', mimeType: 'image/png', blob: 'AAAA' }]);
    expect((await client.readResource({ uri: 'note://beta' })).contents).toEqual([
      { uri: 'note://beta', text: 'note beta' },
    ]);
    const { completion } = await client.complete({
      ref: { type: 'ref/resource', uri: 'note://{name}' },
      argument: { name: 'name', value: 'al' },
    });
    expect(completion.values).toEqual(['alpha', 'album']);
  });

  test('gets prompts, and completes their arguments', async () => {
    const { client } = await open();
    const { prompts } = await client.listPrompts();
    expect(prompts.map((prompt) => prompt.name)).toEqual(['review']);
    const { messages } = await client.getPrompt({ name: 'review', arguments: { language: 'go' } });
    expect(messages).toEqual([{ role: 'user', content: { type: 'text', text: 'Review this go.' } }]);
    const { completion } = await client.complete({
      ref: { type: 'ref/prompt', name: 'review' },
      argument: { name: 'language', value: 'ru' },
    });
    expect(completion.values).toEqual(['ruby', 'rust']);
  });

  test('B22 gets every progress of a fast call in order, before its answer', async () => {
    const { say, messages } = await open();
    expect(await say('steps', { steps: 5 }, { onprogress: () => {} })).toBe('counted to 5');
    expect(messages.map(({ params }) => params?.['progress'] ?? 'answer')).toEqual([1, 2, 3, 4, 5, 'answer']);
  });

  test('cancels a call, and the handler hears of it', async () => {
    const { features, callTool, say, messages } = await open();
    const stop = new AbortController();
    const call = callTool('hold', {}, { signal: stop.signal });
    const held = await features.held();
    stop.abort(new Error('no longer needed'));
    await expect(call).rejects.toThrow('no longer needed');
    await until(() => held.ctx.mcpReq.signal.aborted, { what: 'the abort of the handler' });
    held.answer('too late');
    expect(await say('add', { a: 1, b: 1 })).toBe('2');
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
