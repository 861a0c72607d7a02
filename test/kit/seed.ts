/**
 * Loaded before every test file: property tests walk the same way each time, so that a run which passed passes again.
 * `SOJOURN_SEED=random` walks another way, `SOJOURN_SEED=<n>` goes one of them again; a failure prints its seed.
 */
import fc from 'fast-check';

const DEFAULT_SEED = 20_261_120;

const wanted = process.env['SOJOURN_SEED'] ?? String(DEFAULT_SEED);
fc.configureGlobal({ seed: wanted === 'random' ? Date.now() % 2 ** 31 : Number(wanted) });
