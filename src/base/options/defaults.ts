/** Values that the table of options, and what uses these options, both name. */

/** Kubernetes sends SIGKILL 30 s after SIGTERM. */
export const DRAIN_TIMEOUT_MS = 25_000;

/** In `secrets`: what the instances share through their store. */
export const STORE_SECRET = 'store';
