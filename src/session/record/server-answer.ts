/**
 * What a record keeps of the server's answer to `initialize`: the lists whose changes the server announces, and a hash,
 * as words: `tools prompts 0123456789ab`. It is enough to notice that a deploy changed the answer.
 */
import { digestText } from '../../base/digest.ts';

const LISTS = ['tools', 'prompts', 'resources'] as const;
/** 72 bits: two builds of one server do not meet by chance. */
const HASH_LENGTH = 12;

/** The answer of a session whose server has not answered yet. */
export const NO_ANSWER = '';

/** Most sessions of one factory have the same answer. */
let last: { readonly json: string; readonly answer: string } | undefined;

/** `json`: JSON text of the `initialize` result. Equal words: the same answer. */
export function answerOf(json: string): string {
  if (last?.json === json) return last.answer;
  const { capabilities } = JSON.parse(json) as {
    capabilities?: Record<string, { listChanged?: boolean } | undefined>;
  };
  const announced = LISTS.filter((list) => capabilities?.[list]?.listChanged === true);
  const answer = [...announced, digestText(json).slice(0, HASH_LENGTH)].join(' ');
  last = { json, answer };
  return answer;
}

/** The `list_changed` methods that the server announces. */
export function listChangesOf(answer: string): readonly string[] {
  const words = answer.split(' ');
  return LISTS.filter((list) => words.includes(list)).map(
    (list) => `notifications/${list}/list_changed`,
  );
}
