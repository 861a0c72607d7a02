/**
 * What a record keeps of the server's answer to `initialize`: the lists whose changes the server announces, and a hash,
 * in one word of at most 16 characters: `pt.0123456789ab`. It is enough to notice that a deploy changed the answer.
 */
import { digestText } from '../../base/digest.ts';

const LISTS = ['tools', 'prompts', 'resources'] as const;
const METHODS = LISTS.map((list) => `notifications/${list}/list_changed`);
/** 72 bits: two builds of one server do not meet by chance. */
const HASH_LENGTH = 12;
const WORD = /^([tpr]*)\.(?:[\w-]{12})?$/;

/** The answer of a session whose server has not answered yet. */
export const NO_ANSWER = '.';

/** Most sessions of one factory have the same answer. */
let last: { readonly json: string; readonly answer: string } | undefined;

/** `json`: JSON text of the `initialize` result. Equal words: the same answer. */
export function answerOf(json: string): string {
  if (last?.json === json) return last.answer;
  const { capabilities } = JSON.parse(json) as {
    capabilities?: Record<string, { listChanged?: boolean } | undefined>;
  };
  const announced = LISTS.filter((list) => capabilities?.[list]?.listChanged === true);
  const answer = `${announced.map((list) => list[0]).join('')}.${digestText(json).slice(0, HASH_LENGTH)}`;
  last = { json, answer };
  return answer;
}

/** The `list_changed` methods that the server announces. A word that another build wrote in another form names none. */
export function listChangesOf(answer: string): readonly string[] {
  const letters = WORD.exec(answer)?.[1] ?? '';
  return METHODS.filter((_method, n) => letters.includes(LISTS[n]?.[0] ?? ''));
}
