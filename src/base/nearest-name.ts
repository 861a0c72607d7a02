/** A name of at least this length may be the beginning of the name that was meant. */
const MIN_BEGINNING = 4;

/**
 * The known name that a misspelled name most likely means: equal apart from case, few enough edits away, or without its
 * unit.
 */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const wanted = name.toLowerCase();
  const allowed = Math.max(2, Math.floor(name.length / 3));
  let best: string | undefined;
  let bestDistance = allowed + 1;
  for (const candidate of known) {
    // `limits.bodyBytes` may have been typed as its last part alone.
    const spelled = candidate.toLowerCase();
    const own = spelled.slice(spelled.lastIndexOf('.') + 1);
    const begins =
      wanted.length >= MIN_BEGINNING && (own.startsWith(wanted) || spelled.startsWith(wanted));
    const distance = Math.min(edits(wanted, spelled), edits(wanted, own), begins ? 2 : Infinity);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance, with neighbours swapped counted as one edit. */
function edits(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(
        Math.min(
          at(row, j - 1) + 1,
          at(last, j) + 1,
          replaced,
          swapped ? at(before, j - 2) + 1 : Infinity,
        ),
      );
    }
    before = last;
    last = row;
  }
  return at(last, b.length);
}

function at(row: readonly number[], j: number): number {
  return row[j] ?? Infinity;
}
