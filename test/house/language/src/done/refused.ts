/** Whoever reads this has to guess. */
export const first = 'nobody reads this string'; // which line meanwhile waits

// A phrase is found across the end of a line: each has a name of
// its own.
export const template = `
  one that is in a template: http://example.com/nobody
`;

/** This comment line is too long, because its author went on and on without a break until the line ended at last here. */
export const plain = 'https://example.com'; // The owner retries.

/**
 * What
 *
 * is left
 */
export const paragraphs = 1;

/** Of one call. */
export const MOST = 1;
/**
 * By lower-case name.
 */
// Without a lease, as before.
// As a second line this begins no comment, and so does a sentence that says "Of course".
export const NAMES = 2;
