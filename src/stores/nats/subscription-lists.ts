/**
 * A long list of subscriptions is not in the value of its session, which each save writes whole: its earlier pieces are
 * messages of their own that never change, and the value names them. So a change writes the value with the newest URIs
 * and at most one piece. A list of one piece is in the value.
 */
/** A piece of the list. The pieces are in order, and the URIs in the value follow them. */
export type ListPiece = readonly [seq: number, uris: number];

interface ListedValue {
  readonly record: { readonly subscriptions: readonly string[] };
  readonly lists?: readonly ListPiece[];
}

/** The size of a piece, and of the URIs in the value. */
export const PIECE_BYTES = 4_096;

export const piecesOf = ({ lists = [] }: ListedValue): readonly ListPiece[] => lists;

/** The URIs that are not in pieces. */
export function urisInValue(value: ListedValue): readonly string[] {
  const inPieces = piecesOf(value).reduce((sum, [, uris]) => sum + uris, 0);
  return value.record.subscriptions.slice(inPieces);
}

/**
 * The pieces of a changed list: those that stay, and the URIs of those to write. What follows them is in the value.
 * `limit`: the bytes of one message.
 */
export function plannedPieces(
  before: ListedValue,
  uris: readonly string[],
  limit: number,
): readonly (ListPiece | readonly string[])[] {
  const planned: (ListPiece | readonly string[])[] = [];
  let from = 0;
  let next = 0;
  for (const piece of piecesOf(before)) {
    const [, count] = piece;
    const kept: string[] = [];
    // Changes remove URIs or append them, so what stays is in the same order.
    for (const uri of before.record.subscriptions.slice(from, (from += count))) {
      if (uris[next] !== uri) continue;
      kept.push(uri);
      next += 1;
    }
    if (kept.length === count) planned.push(piece);
    else if (kept.length > 0) planned.push(kept);
  }
  const full = pieces(uris.slice(next)).slice(0, -1);
  // A URI that is larger than a message goes with the value, which is split.
  if (full.every((piece) => bytesOf(piece) <= limit)) planned.push(...full);
  return planned;
}

/** In pieces of `PIECE_BYTES`, or of one URI that is larger. */
function pieces(uris: readonly string[]): readonly (readonly string[])[] {
  const cut: string[][] = [];
  let bytes = Infinity;
  for (const uri of uris) {
    bytes += bytesOf([uri]);
    if (bytes > PIECE_BYTES) {
      cut.push([]);
      bytes = bytesOf([uri]);
    }
    cut.at(-1)?.push(uri);
  }
  return cut;
}

const bytesOf = (uris: readonly string[]): number => Buffer.byteLength(JSON.stringify(uris));
