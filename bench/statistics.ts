export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** Half of the values lie between these two. */
  readonly quartiles: readonly [lower: number, upper: number];
}

export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  const lower = sorted[sorted.length % 2 === 0 ? middle - 1 : middle];
  const least = sorted[0];
  const most = sorted.at(-1);
  if (upper === undefined || lower === undefined || least === undefined || most === undefined)
    throw new Error('no values to summarize');
  const quartiles = [percentile(sorted, 0.25), percentile(sorted, 0.75)] as const;
  return { median: (lower + upper) / 2, least, most, quartiles };
}

/** Half of the distance between the least and the most, as a share of the median: "± 3 %". */
export function spread({ median, least, most }: Pick<Summary, 'median' | 'least' | 'most'>): number {
  return median === 0 ? 0 : (most - least) / 2 / median;
}

/** Of values in order. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
