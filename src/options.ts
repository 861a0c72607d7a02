/** The options of an endpoint: what may be given, what it becomes. */
export type { McpEndpointOptions, ResolvedOptions, ResponseMode } from './options/endpoint-options.ts';
export { DEFAULTS, LOOPBACK_NAMES } from './options/defaults.ts';
export { OPTION_NAMES, resolveOptions } from './options/resolve.ts';
