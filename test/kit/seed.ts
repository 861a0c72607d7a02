/**
 * Loaded before every test file. Property tests take the same walk each time, so that a run which passed passes again.
 * `SOJOURN_SEED=random` takes another walk, and `SOJOURN_SEED=<n>` repeats a walk; a failure prints its seed.
 */
import fc from 'fast-check';

const DEFAULT_SEED = 20_261_120;

const wanted = process.env['SOJOURN_SEED'] ?? String(DEFAULT_SEED);
fc.configureGlobal({ seed: wanted === 'random' ? Date.now() % 2 ** 31 : Number(wanted) });
