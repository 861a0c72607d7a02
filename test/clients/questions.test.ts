/** What a server asks the official clients in the middle of a call: their model, their user, their folders. */
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { faces, type Face } from '../kit/serve.ts';
import { openFeatures, overFaces } from './feature-server.ts';
import { connectNegotiating, sessionClients, sseClients, type Connect, type ConnectOptions } from './official.ts';
import { createSlowPerson } from './slow-person.ts';

/** Without a GET stream a question can only take the stream of its call. */
const opener = (face: Face, connect: Connect) => (behind?: ConnectOptions, options?: McpEndpointOptions) => {
  const withoutGet = sessionClients.some(([, one]) => one === connect);
  return openFeatures(face, connect, { withoutGet, ...behind, options });
};

const text = (said: string) => ({ role: 'assistant', model: 'm', content: { type: 'text', text: said } });

describe.each(overFaces([...sessionClients, ...sseClients]))('the %s client on the face %s', (_name, face, connect) => {
  const open = opener(face, connect);

  test('B23 lets its model answer', async () => {
    const prompts: unknown[] = [];
    const { say } = await open({
      sample: ({ messages }) => {
        prompts.push(messages);
        return text('forty-two');
      },
    });
    expect(await say('ask-model', { question: 'What is it?' })).toBe('{"type":"text","text":"forty-two"}');
    expect(prompts).toEqual([[{ role: 'user', content: { type: 'text', text: 'What is it?' } }]]);
  });

  test.each([
    [{ action: 'accept', content: { colour: 'green' } }, 'accept {"colour":"green"}'],
    [{ action: 'decline' }, 'decline undefined'],
    [{ action: 'cancel' }, 'cancel undefined'],
  ])('lets its user answer a form: %j', async (reply, outcome) => {
    const asked: unknown[] = [];
    const { say } = await open({
      elicit: ({ message, requestedSchema }) => {
        asked.push([message, requestedSchema]);
        return reply;
      },
    });
    expect(await say('ask')).toBe(outcome);
    expect(asked).toEqual([['Which colour?', { type: 'object', properties: { colour: { type: 'string' } } }]]);
  });

  test('sends its user to a page', async () => {
    const asked: unknown[] = [];
    const { say } = await open({
      elicit: ({ mode, url, elicitationId }) => {
        asked.push([mode, url, elicitationId]);
        return { action: 'accept' };
      },
    });
    expect(await say('ask-visit')).toBe('accept');
    expect(asked).toEqual([['url', 'https://example.com/consent', 'e-1']]);
  });

  test('tells which folders are open', async () => {
    const { say } = await open({ roots: () => ({ roots: [{ uri: 'file:///a' }, { uri: 'file:///b' }] }) });
    expect(await say('roots')).toBe('file:///a file:///b');
  });

  test('is not asked for what it cannot do', async () => {
    const { callTool, messages } = await open();
    expect(await callTool('ask')).toMatchObject({ isError: true });
    expect(messages.filter(({ method }) => method !== undefined)).toEqual([]);
  });

  test('its handler that fails fails the tool, not the session', async () => {
    const { callTool, say } = await open({
      elicit: () => {
        throw new Error('the window could not be opened');
      },
    });
    const answer = await callTool('ask');
    expect(answer.isError).toBe(true);
    expect(answer.content?.[0]?.text).toContain('the window could not be opened');
    expect(await say('add', { a: 1, b: 2 })).toBe('3');
  });

  test('waits for a person longer than a session may be idle', async () => {
    const time = createFakeTime();
    const person = createSlowPerson();
    const { say } = await open(
      { elicit: person.elicit },
      { timeProvider: time, idleTimeoutMs: 60_000, maxIdleSessionCount: 0 },
    );
    const call = say('ask');
    await person.asked;
    await time.advance(10 * 60_000);
    person.answer({ action: 'accept', content: { colour: 'at last' } });
    expect(await call).toBe('accept {"colour":"at last"}');
  });

  test('answers many questions at once, each to who asked it', async () => {
    const { say } = await open({
      sample: async ({ messages }) => text(`re: ${messages[0].content.text}`),
    });
    const questions = Array.from({ length: 20 }, (_, n) => `question ${n}`);
    const answers = await Promise.all(questions.map((question) => say('ask-model', { question })));
    expect(answers).toEqual(questions.map((question) => JSON.stringify({ type: 'text', text: `re: ${question}` })));
  });

  test('two sessions with the same question get their own answers', async () => {
    const [ada, bob] = [createSlowPerson(), createSlowPerson()];
    const { url, say } = await open({ elicit: ada.elicit });
    const other = await connect(url, { elicit: bob.elicit });
    const calls = [say('ask'), other.say('ask')];
    await Promise.all([ada.asked, bob.asked]);
    bob.answer({ action: 'accept', content: { colour: 'blue' } });
    ada.answer({ action: 'accept', content: { colour: 'amber' } });
    expect(await Promise.all(calls)).toEqual(['accept {"colour":"amber"}', 'accept {"colour":"blue"}']);
  });
});

describe.each(overFaces([...sessionClients, ...sseClients, ['v2, negotiating', connectNegotiating]]))(
  'a tool in several rounds, for the %s client on the face %s',
  (_name, face, connect) => {
    const open = opener(face, connect);
    test('B102 B142 gets what it asks for, and keeps its place', async () => {
      const { say } = await open({
        elicit: ({ message }) => ({ action: 'accept', ...(message === 'How many?' && { content: { guests: 4 } }) }),
        sample: () => text('soup'),
        roots: () => ({ roots: [{ uri: 'file:///home' }] }),
      });
      expect(await say('book', { restaurant: 'Chez Nous' })).toBe('Chez Nous for 4, soup, file:///home: accept');
    });
  },
);

test.each(faces)('the face %s says to a 2026-07-28 client that a handler cannot ask in mid-call', async (face) => {
  const { callTool } = await opener(face, connectNegotiating)({ elicit: () => ({ action: 'accept' }) });
  const answer = await callTool('ask');
  expect(answer.isError).toBe(true);
  expect(answer.content?.[0]?.text).toContain('inputRequired');
});
