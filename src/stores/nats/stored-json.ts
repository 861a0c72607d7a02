/** Reads JSON that a build of sojourn stored; its member `v` is the version of its format. */
import { newerValue, unreadable } from './failures.ts';

/** `known`: the newest version that this build reads. */
export function storedJson<T extends { readonly v: number }>(
  where: string,
  what: string,
  data: Buffer,
  known: number,
): T {
  let value: T | null;
  try {
    value = JSON.parse(data.toString()) as T | null;
  } catch (cause) {
    throw unreadable(where, what, cause);
  }
  if (typeof value?.v !== 'number') throw unreadable(where, what);
  if (value.v > known) throw newerValue(where, what, value.v, known);
  return value;
}
