/** Where pages begin and end. The cursor of a list is the id after which the page begins. */
import { optionInvalid } from '../../base/errors.ts';

const IDS = /^[\x21-\x7e]+$/;

/** `''`: the first page. */
export function idOf(cursor = ''): string {
  if (cursor === '' || IDS.test(cursor)) return cursor;
  throw optionInvalid('range', 'cursor', cursor, 'a nextCursor that the store gave');
}

/**
 * The ids of a group lie between the two. An id is `<group>.<name>`, and a group has no dot: in byte order `/` follows
 * `.`, so no other id does.
 */
export function rangeOf(group: string, cursor = ''): readonly [after: string, before: string] {
  const first = `${group}.`;
  return [cursor > first ? cursor : first, `${group}/`];
}
