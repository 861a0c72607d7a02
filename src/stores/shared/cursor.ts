/** Cursors: the last id of a page, or a time and a place. */
import { optionInvalid } from '../../errors.ts';

const IDS = /^[\x21-\x7e]+$/;
const DUE_PLACES = /^-?[\d.]{1,20} \d{1,15}$/;

/** The id after which the page begins; `''`: the first page. */
export const idOf = (cursor = ''): string => (cursor === '' ? cursor : checked(cursor, IDS));

/** The cursor of `due`: the time after which the page begins, and the place among the records of that time. */
export function placesOf(cursor: string | undefined): readonly [time: number, place: number] | undefined {
  if (cursor === undefined) return undefined;
  const [time, place] = checked(cursor, DUE_PLACES).split(' ');
  return [Number(time), Number(place)];
}

function checked(cursor: string, form: RegExp): string {
  if (!form.test(cursor)) throw optionInvalid('range', 'cursor', cursor, 'a nextCursor that the store gave');
  return cursor;
}
