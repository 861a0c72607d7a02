/** What a server asks the official clients in the middle of a call: their model, their user, their folders. */
import { describe, expect, test } from 'vitest';
import { faces, type Face } from '../kit/serve.ts';
import { openExample, openFixture, openLab, overFaces } from './opened.ts';
import {
  connectNegotiating,
  sessionClients,
  sseClients,
  type Connect,
  type ConnectOptions,
} from './official.ts';

/** Without a GET stream a question can only take the stream of its call. */
function at(face: Face, connect: Connect) {
  const withoutGet = sessionClients.some(([, one]) => one === connect);
  return {
    /** Its tools return what they need. */
    example: (behind?: ConnectOptions) => openExample(face, connect, { withoutGet, ...behind }),
    /** Its tool `ask` asks in the middle of its work. */
    lab: (behind?: ConnectOptions) => openLab(face, connect, { withoutGet, ...behind }),
    fixture: (behind?: ConnectOptions) => openFixture(face, connect, { withoutGet, ...behind }),
  };
}

const text = (said: string) => ({
  role: 'assistant',
  model: 'm',
  content: { type: 'text', text: said },
});

describe.each(overFaces([...sessionClients, ...sseClients]))(
  'the %s client on the face %s',
  (_name, face, connect) => {
    const { example, lab } = at(face, connect);

    test.each([
      [{ action: 'accept', content: { colour: 'green' } }, 'accept {"colour":"green"}'],
      [{ action: 'decline' }, 'decline undefined'],
      [{ action: 'cancel' }, 'cancel undefined'],
    ])('B23 lets its user answer a form: %j', async (reply, outcome) => {
      const asked: unknown[] = [];
      const { say } = await lab({
        elicit: ({ message, requestedSchema }) => {
          asked.push([message, requestedSchema]);
          return reply;
        },
      });
      expect(await say('ask')).toBe(outcome);
      expect(asked).toEqual([
        ['Which colour?', { type: 'object', properties: { colour: { type: 'string' } } }],
      ]);
    });

    test('is not asked for what it cannot do', async () => {
      const { callTool, messages } = await lab();
      expect(await callTool('ask')).toMatchObject({ isError: true });
      expect(messages.filter(({ method }) => method !== undefined)).toEqual([]);
    });

    test('its handler that fails fails the tool, not the session', async () => {
      const { callTool, say } = await lab({
        elicit: () => {
          throw new Error('the window could not be opened');
        },
      });
      const answer = await callTool('ask');
      expect(answer.isError).toBe(true);
      expect(answer.content?.[0]?.text).toContain('the window could not be opened');
      expect(await say('echo', { text: 'still here' })).toBe('still here');
    });

    test('answers many questions at once, each to who asked it', async () => {
      const { say } = await example({
        sample: async ({ messages }) => text(`re: ${messages[0].content.text}`),
      });
      const questions = Array.from({ length: 20 }, (_, n) => `question ${n}`);
      const answers = await Promise.all(
        questions.map((question) => say('ask-model', { question })),
      );
      const said = (question: string) => JSON.stringify({ type: 'text', text: `re: ${question}` });
      expect(answers).toEqual(questions.map((question) => `The model says: ${said(question)}`));
    });
  },
);

describe.each(
  overFaces([...sessionClients, ...sseClients, ['v2, negotiating', connectNegotiating]]),
)('a tool in several rounds, for the %s client on the face %s', (_name, face, connect) => {
  test('B102 B142 gets all that it asks for at once, and keeps its place', async () => {
    const name = 'test_input_required_result';
    const { say } = await at(face, connect).fixture({
      elicit: ({ message }) => ({
        action: 'accept',
        content: String(message).includes('color') ? { color: 'green' } : { name: 'Ada' },
      }),
      sample: () => text('soup'),
      roots: () => ({ roots: [{ uri: 'file:///home' }] }),
    });
    expect(await say(`${name}_multiple_inputs`)).toBe('all three arrived');
    expect(await say(`${name}_multi_round`)).toBe('Ada likes green');
  });
});

test.each(faces)(
  'the face %s says to a 2026-07-28 client that a handler cannot ask in mid-call',
  async (face) => {
    const { callTool } = await at(face, connectNegotiating).lab({
      elicit: () => ({ action: 'accept' }),
    });
    const answer = await callTool('ask');
    expect(answer.isError).toBe(true);
    expect(answer.content?.[0]?.text).toContain('inputRequired');
  },
);
