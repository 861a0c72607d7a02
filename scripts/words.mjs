/** Words that hide who acts or what is meant. The lint finds them in `src`, a test in the pages. */
const HIDING =
  /\b(?:whoever|whomever|nobody|somebody|anybody|meanwhile|(?:go|goes|going|gone|went) on|(?:is|are|was|were|be|been|being) told|ones? that|what is left|stands?|stood)\b/gi;

/** The words of the list that `text` has. A line may end between two of them. */
export function hidingWords(text) {
  return text.replace(/\n[\s*>/]*/g, ' ').match(HIDING) ?? [];
}

/** The word with which a comment begins that is then no sentence. */
export function fragment(comment) {
  return /^[\s*]*(Of|By|Without|As)\b/.exec(comment)?.[1];
}
