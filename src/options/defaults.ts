/** Values that the table of options, and what uses these options, both name. */

export const LISTEN_DEFAULTS = { port: 3000, host: '127.0.0.1', path: '/mcp' } as const;

/** Kubernetes sends SIGKILL 30 s after SIGTERM. */
export const DRAIN_TIMEOUT_MS = 25_000;

/** In `instanceKeys`: the key that the instances share through their store. */
export const STORE_KEY = 'store';
