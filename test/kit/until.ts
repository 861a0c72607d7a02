/** Waits for a condition, never for a time. */
export { until, type UntilOptions } from '../../src/testing/until.ts';
