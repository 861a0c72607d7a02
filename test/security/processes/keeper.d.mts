import type { McpEndpointFactory, McpEndpointOptions } from '../../../src/index.ts';

export const TOKEN: string;
export const ARGUMENT: string;
export const RESULT: string;
export const THROWN: string;
export const QUERY: string;
export const CONTROL: string;
export const KINDS: readonly string[];

declare const keeper: {
  readonly factory: McpEndpointFactory;
  readonly options: McpEndpointOptions;
};
export default keeper;
