/** Cursors of `list`: the last id of a page, or the last place in a numbered order. */
import { optionInvalid } from '../../errors.ts';

const IDS = /^[\x21-\x7e]+$/;
const PLACES = /^\d{1,15}$/;

/** The id after which the page begins; `''`: the first page. */
export const idOf = (cursor = ''): string => (cursor === '' ? cursor : checked(cursor, IDS));

/** The place after which the page begins; `undefined`: the first page. */
export const placeOf = (cursor: string | undefined): number | undefined =>
  cursor === undefined ? undefined : Number(checked(cursor, PLACES));

function checked(cursor: string, form: RegExp): string {
  if (!form.test(cursor)) throw optionInvalid('range', 'cursor', cursor, 'a nextCursor that list() gave');
  return cursor;
}
