/** The options of an endpoint: what may be given, what it becomes. */
export type { McpEndpointOptions, ResolvedOptions, ResponseMode } from './endpoint-options.ts';
export { DEFAULTS, LOOPBACK_NAMES } from './defaults.ts';
export { OPTION_NAMES, resolveOptions } from './resolve.ts';
