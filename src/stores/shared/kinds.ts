/** The kinds that a view of a store was opened for. */
import { internal } from '../../errors.ts';
import type { Kind, OpenStore, Records } from '../store.ts';

/** `OpenStore.records`, where `make` makes the records of one kind. */
export function recordsOf(kinds: readonly Kind[], make: (kind: Kind) => Records): OpenStore['records'] {
  const made = new Map(kinds.map((kind) => [kind.name, make(checkedKind(kind))]));
  return ({ name }) => {
    const records = made.get(name);
    if (records === undefined) throw internal(new Error(`the store was not opened for records of the kind ${name}`));
    return records;
  };
}

/** Only a directory knows the records of a group. */
export function checkedKind(kind: Kind): Kind {
  if (kind.grouped === true && !kind.listed)
    throw internal(new Error(`the kind ${kind.name} is grouped and not listed`));
  return kind;
}
