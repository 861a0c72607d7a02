/** Loops, because a regular expression such as `/0+$/` begins again at each `0`: its time grows with the square. */

/** The text without its last characters, as far as they all are `character`. */
export function withoutTrailing(text: string, character: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === character) end -= 1;
  return text.slice(0, end);
}

/** A header value without the blanks around it: spaces and tabs (RFC 9110 section 5.6.3), not the U+00A0 of `trim`. */
export function withoutBlanks(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isBlank(value[start])) start += 1;
  while (end > start && isBlank(value[end - 1])) end -= 1;
  return value.slice(start, end);
}

const isBlank = (character: string | undefined): boolean => character === ' ' || character === '\t';
