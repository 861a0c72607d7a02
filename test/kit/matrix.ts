/**
 * `npm test` proves each promise once, on the part that can break it. `npm run test:matrix` runs the products too:
 * every face, every store, and the files whose head has `@module-tag matrix`. See `scripts/test-matrix.mjs`.
 */
export const isMatrix = process.env['SOJOURN_MATRIX'] !== undefined;

/** `all` in the matrix, else `some`. */
export const inMatrix = <T>(all: readonly T[], some: readonly T[]): readonly T[] =>
  isMatrix ? all : some;
