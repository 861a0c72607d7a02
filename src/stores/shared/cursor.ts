/** The cursor of a page: the id after which it begins. */
import { optionInvalid } from '../../errors.ts';

const IDS = /^[\x21-\x7e]+$/;

/** `''`: the first page. */
export function idOf(cursor = ''): string {
  if (cursor === '' || IDS.test(cursor)) return cursor;
  throw optionInvalid('range', 'cursor', cursor, 'a nextCursor that the store gave');
}
