/** Waits for a condition, never for a time. */
export { until } from '../../src/testing/until.ts';
