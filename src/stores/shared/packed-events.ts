/** The events of one append as one text. */

/** The record separator: neither JSON text nor a priming event contains it. */
const SEPARATOR = '\u001e';
/** Starts a text that is a JSON list of the events. */
const LISTED = '\u001f';

/** Events with a separator, or with a character that PostgreSQL cannot store as text, are no JSON: they are listed. */
export function packEvents(events: readonly string[]): string {
  const text = events.length === 1 ? (events[0] ?? '') : events.join(SEPARATOR);
  const plain = !text.includes('\0') && !text.includes(LISTED) && separators(text) === events.length - 1;
  return plain ? text : LISTED + JSON.stringify(events);
}

export function unpackEvents(text: string, count: number): readonly string[] {
  if (text.startsWith(LISTED)) return JSON.parse(text.slice(1)) as string[];
  return count === 1 ? [text] : text.split(SEPARATOR);
}

function separators(text: string): number {
  let count = 0;
  for (let at = text.indexOf(SEPARATOR); at >= 0; at = text.indexOf(SEPARATOR, at + 1)) count += 1;
  return count;
}
