/** The questions of a child that it cancels itself. */
import { expect, onTestFinished, test } from 'vitest';
import { Child, type Question } from '../../src/stdio/child.ts';
import { until } from '../kit/until.ts';

/** More than may be open at once. */
const MANY = 300;

const PROGRAM = `
const write = (message) => console.log(JSON.stringify({ jsonrpc: '2.0', ...message }));
const ask = (id) => write({ id, method: 'roots/list' });
for (let id = 0; id < ${MANY}; id += 1) {
  ask(id);
  write({ method: 'notifications/cancelled', params: { requestId: id } });
}
for (let n = 0; n < ${MANY}; n += 1) ask('same');
ask('last');
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  write({ method: 'heard', params: JSON.parse(line) });
});
`;

test('a question that its child cancels, or whose id it uses again, is over: its answer is not sent', async () => {
  const questions: Question[] = [];
  const heard: unknown[] = [];
  const child = new Child(
    { command: process.execPath, args: ['-e', PROGRAM], env: {}, cwd: undefined },
    {
      question: (question) => void questions.push(question),
      notified: (_, params) => void heard.push(params),
      said() {},
      ended() {},
    },
  );
  onTestFinished(() => child.stop());
  await until(() => questions.length === 2 * MANY + 1);
  const open = questions.filter(({ signal }) => !signal.aborted);
  expect([open.length, child.openQuestions]).toEqual([2, 2]);
  const answered = child.answered();
  for (const [n, question] of questions.entries()) question.answer({ n });
  await answered;
  await until(() => heard.length > 1);
  expect(heard).toEqual([
    { jsonrpc: '2.0', id: 'same', result: { n: 2 * MANY - 1 } },
    { jsonrpc: '2.0', id: 'last', result: { n: 2 * MANY } },
  ]);
});
