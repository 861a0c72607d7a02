/**
 * The fields of a large record are not in its value, which each save writes whole. They are in pieces: messages with
 * changes of fields, which never change themselves. The value names its pieces in order, and its own changes come after
 * them. So a save of one field writes the newest changes and at most one piece.
 *
 *     fields = piece 1, then piece 2 …, then the changes in the value
 */
import type { StoredRecord } from '../store.ts';

type Fields = StoredRecord['fields'];
/** `null` deletes. */
export type FieldChanges = Readonly<Record<string, string | null>>;

/** A message with changes of fields. */
export interface FieldPiece {
  readonly seq: number;
  readonly changes: FieldChanges;
}

/** The size of a piece, and of the changes in the value. */
export const PIECE_BYTES = 4_096;
/** So many changes that a later one has replaced are kept for free. */
const DEAD_CHANGES = 16;

const bytesOf = (changes: FieldChanges): number => Buffer.byteLength(JSON.stringify(changes));

/** `fromEntries` makes own properties of all names, `__proto__` included. */
export function foldedFields(all: readonly FieldChanges[]): Fields {
  const fields = new Map<string, string>();
  for (const [name, value] of all.flatMap((changes) => Object.entries(changes))) {
    if (value === null) fields.delete(name);
    else fields.set(name, value);
  }
  return Object.fromEntries(fields);
}

/** The changes that make `fields` of what the pieces hold. */
export function changesInValue(pieces: readonly FieldPiece[], fields: Fields): FieldChanges {
  if (pieces.length === 0) return fields;
  const before = new Map(Object.entries(foldedFields(pieces.map(({ changes }) => changes))));
  const changes: [string, string | null][] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (before.get(name) !== value) changes.push([name, value]);
    before.delete(name);
  }
  for (const name of before.keys()) changes.push([name, null]);
  return Object.fromEntries(changes);
}

/**
 * The pieces of a changed record: those that stay, and the changes of those to write. `limit`: the bytes of one
 * message. What does not fit into a message is in the value, which is split.
 */
export function plannedPieces(
  pieces: readonly FieldPiece[],
  fields: Fields,
  limit: number,
): readonly (FieldPiece | FieldChanges)[] {
  const changes = changesInValue(pieces, fields);
  const held = pieces.reduce((sum, piece) => sum + Object.keys(piece.changes).length, Object.keys(changes).length);
  // Most of what the pieces hold was replaced or deleted since.
  if (held > 2 * Object.keys(fields).length + DEAD_CHANGES) return cut(fields, limit).slice(0, -1);
  const bytes = bytesOf(changes);
  return bytes > PIECE_BYTES && bytes <= limit ? [...pieces, ...cut(changes, limit)] : pieces;
}

/** In pieces of `PIECE_BYTES`, or of one field that is larger. Nothing where a field is larger than a message. */
function cut(all: FieldChanges, limit: number): readonly FieldChanges[] {
  const pieces: [string, string | null][][] = [];
  let bytes = Infinity;
  for (const entry of Object.entries(all)) {
    const size = bytesOf(Object.fromEntries([entry]));
    if (size > limit) return [];
    bytes += size;
    if (bytes > PIECE_BYTES) {
      pieces.push([]);
      bytes = size;
    }
    pieces.at(-1)?.push(entry);
  }
  return pieces.map((entries) => Object.fromEntries(entries));
}
