/** What a line that is no JSON answers: a program may write `NaN`, or a part of a message. */

/** Texts, of which the last may be cut, and braces. */
const TOKENS = /"(?:[^"\\]|\\.)*"?|[{}]/g;
/** After its name: an id that is complete. */
const ID = /\s*:\s*"?(\d+)"?\s*[,}]/y;
const COLON = /\s*:/y;

function next(pattern: RegExp, line: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(line);
}

/** The ids of its answers. Each is a member of an outer object that has no method. */
export function answeredIn(line: string): readonly number[] {
  if (!/^\s*[[{]/.test(line) || !line.includes('"jsonrpc"')) return [];
  const messages: { id?: number; isAnswer: boolean }[] = [];
  let depth = 0;
  for (const { 0: token, index } of line.matchAll(TOKENS)) {
    const message = messages.at(-1);
    if (token === '}') depth -= 1;
    else if (token === '{' && (depth += 1) === 1) messages.push({ isAnswer: true });
    if (depth !== 1 || message === undefined) continue;
    const after = index + token.length;
    if (token === '"id"') message.id = Number(next(ID, line, after)?.[1] ?? NaN);
    if (token === '"method"' && next(COLON, line, after) !== null) message.isAnswer = false;
  }
  return messages.flatMap(({ id, isAnswer }) => (isAnswer && id !== undefined ? id : []));
}
