/** The questions of a child that it cancels itself. */
import { expect, onTestFinished, test } from 'vitest';
import type { AnswerError } from '../../src/base/errors/answer-error.ts';
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
      answered() {},
      outlived() {},
      ended() {},
    },
  );
  onTestFinished(() => child.stop());
  await until(() => questions.length === 2 * MANY + 1);
  const open = questions.filter(({ signal }) => !signal.aborted);
  expect(open.length).toBe(2);
  for (const [n, question] of questions.entries()) question.answer({ n });
  await until(() => heard.length > 1);
  expect(heard).toEqual([
    { jsonrpc: '2.0', id: 'same', result: { n: 2 * MANY - 1 } },
    { jsonrpc: '2.0', id: 'last', result: { n: 2 * MANY } },
  ]);
});

/** Writes the line that it is sent, with its id in place of ID, and then an answer. */
const OBEDIENT = `
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, params } = JSON.parse(line);
  if (params === undefined) return;
  console.log(params.line.replace('ID', id));
  console.log(JSON.stringify({ jsonrpc: '2.0', id, result: { later: true } }));
});
`;
const OK = { ok: 1 };
const LATER = { later: true };
const NO_JSON = { code: -32_603, message: 'node: its answer is no JSON' };
const NO_RESULT = { code: -32_603, message: 'node: its answer has no result' };

test.each([
  ['{"jsonrpc":"2.0","id":ID,"result":{"n":NaN}}', NO_JSON],
  ['{"jsonrpc": "2.0", "id": ID, "result": {"content": [{"text": "id\\"', NO_JSON],
  ['[{"result":{"n":NaN,"method":1},"id":"ID","jsonrpc":"2.0"}]', NO_JSON],
  ['{"jsonrpc":"2.0","id":9,"result":{}} {"jsonrpc":"2.0","id":ID,"result":{}}', NO_JSON],
  ['{"jsonrpc":"2.0","method":"m","params":{"n":NaN},"id":ID}', LATER],
  ['{"jsonrpc":"2.0","result":{"id":ID,"n":NaN}}', LATER],
  ['{"jsonrpc":"2.0","id":ID', LATER],
  ['{"n":NaN,"id":ID}', LATER],
  ['debug: {"jsonrpc":"2.0","id":ID,"result":NaN}', LATER],
  ['{"jsonrpc":"2.0","id":ID,"error":"bad"}', NO_RESULT],
  ['{"jsonrpc":"2.0","id":ID,"error":"bad","result":null}', NO_RESULT],
  ['{"jsonrpc":"2.0","id":ID,"result":"text"}', NO_RESULT],
  // JSON-RPC allows it, MCP wants an object: clients of the official SDKs drop it, and their call times out.
  ['{"jsonrpc":"2.0","id":ID,"result":null}', NO_RESULT],
  ['{"jsonrpc":"2.0","id":ID}', NO_RESULT],
  ['{"id":ID,"level":"info"}', LATER],
  ['{"jsonrpc":"2.0","id":ID,"error":null,"result":{"ok":1}}', OK],
  ['{"jsonrpc":"2.0","id":"ID","result":{"ok":1}}', OK],
  ['\uFEFF{"jsonrpc":"2.0","id":ID,"result":{"ok":1}}', OK],
  ['{"jsonrpc":"2.0","id":[ID],"result":{"ok":1}}', LATER],
  ['{"jsonrpc":"2.0","id":true,"result":{"ok":1}}', LATER],
  ['{"jsonrpc":"2.0","id":"","result":{"ok":1}}', LATER],
])('an answer that is no message ends its call: %s', async (line, expected) => {
  const child = new Child(
    { command: process.execPath, args: ['-e', OBEDIENT], env: {}, cwd: undefined },
    { question() {}, notified() {}, said() {}, answered() {}, outlived() {}, ended() {} },
  );
  onTestFinished(() => child.stop());
  const answer = await child
    .request('x', { line })
    .catch(({ code, message }: AnswerError) => ({ code, message }));
  expect(answer).toEqual(expected);
});
