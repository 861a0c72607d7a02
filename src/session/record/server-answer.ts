/** What a record keeps of the server's answer to `initialize`: enough to notice that a deploy changed it. */

import { digestText } from '../../base/digest.ts';
const LISTS = ['tools', 'prompts', 'resources'] as const;
const METHODS = LISTS.map((list) => `notifications/${list}/list_changed`);
/** 72 bits: two builds of one server do not meet by chance. */
const HASH_LENGTH = 12;
/** What it announces, and its hash, in one word: `pt.0123456789ab`. */
const WORD = /^([tpr]*)\.([\w-]{12})?$/;

export interface ServerAnswer {
  /** One word of at most 16 characters. Equal words: the same answer. */
  readonly word: string;
  /** The `list_changed` methods that the server announces. */
  readonly listChanges: readonly string[];
}

/** The answer of a session whose server has not answered yet. */
export const NO_ANSWER: ServerAnswer = Object.freeze({ word: '.', listChanges: [] });

/** Most sessions of one factory have the same answer. */
let last: { readonly json: string; readonly answer: ServerAnswer } | undefined;

/** `json`: JSON text of the `initialize` result. */
export function answerOf(json: string): ServerAnswer {
  if (last?.json === json) return last.answer;
  const { capabilities } = JSON.parse(json) as {
    capabilities?: Record<string, { listChanged?: boolean } | undefined>;
  };
  const announced = LISTS.filter((list) => capabilities?.[list]?.listChanged === true);
  const hash = digestText(json).slice(0, HASH_LENGTH);
  const answer = answerIn(`${announced.map((list) => list[0]).join('')}.${hash}`);
  last = { json, answer };
  return answer;
}

/** The answer that a record names. A word of another form is no answer of this build: it equals none. */
export function answerIn(word: string): ServerAnswer {
  if (last?.answer.word === word) return last.answer;
  const letters = WORD.exec(word)?.[1] ?? '';
  const listChanges = METHODS.filter((_method, n) => letters.includes(LISTS[n]?.[0] ?? ''));
  return word === NO_ANSWER.word ? NO_ANSWER : { word, listChanges };
}
