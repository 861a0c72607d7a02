/**
 * Remembers the JSON Schema of the schemas that tools were registered with. The SDK converts every schema again for
 * each `tools/list`, and for each call of 2026-07-28 that of its tool. It does so through `~standard.jsonSchema`, the
 * public interface of schema libraries (Standard JSON Schema): `input` and `output` of this member are replaced by
 * functions that convert once, and then return copies.
 *
 * The key is the schema object, so a tool that is updated with another schema is converted again. Each result is a new
 * copy, because an application that replaced `tools/list` may change what the SDK's handler returned.
 *
 * Not remembered, so converted each time as before: schemas that create this member for each access, or whose member
 * cannot be written, and the schemas of SDK 1, which converts zod's schemas without that interface.
 */
import { isObject } from '../protocol/jsonrpc.ts';

type Convert = (options: unknown) => unknown;

const known = new WeakSet<object>();

/** Prepares the schemas of all tools of an `McpServer`, or of the named tool. Cheap for schemas that were prepared. */
export function rememberSchemas(server: object, name?: string): void {
  // SDK 1 lacks this method.
  if (!('toolInputSchemaJson' in server)) return;
  // Its tools are in one of its members, by name. No other member has objects with schemas.
  for (const member in server) {
    const tools: unknown = Reflect.get(server, member);
    if (!isObject(tools)) continue;
    if (name === undefined) for (const tool of Object.values(tools)) rememberTool(tool);
    else if (Object.hasOwn(tools, name)) rememberTool(tools[name]);
  }
}

/** Whether the server is about to convert the schemas of all tools. */
export const isToolsList = (message: unknown): boolean => isObject(message) && message['method'] === 'tools/list';

function rememberTool(tool: unknown): void {
  if (!isObject(tool)) return;
  remember(tool['inputSchema']);
  remember(tool['outputSchema']);
}

function remember(schema: unknown): void {
  // The schemas of some libraries are functions.
  if ((typeof schema !== 'object' && typeof schema !== 'function') || schema === null || known.has(schema)) return;
  known.add(schema);
  const standard: unknown = Reflect.get(schema, '~standard');
  const converters = isObject(standard) ? standard['jsonSchema'] : undefined;
  if (!isObject(standard) || !isObject(converters) || standard !== Reflect.get(schema, '~standard')) return;
  for (const io of ['input', 'output']) {
    const convert = converters[io];
    // `false`: it is frozen.
    if (typeof convert === 'function') Reflect.set(converters, io, remembering(convert.bind(converters) as Convert));
  }
}

/** Only for the options that the SDK passes: a draft's name. A schema that cannot be converted throws each time. */
function remembering(convert: Convert): Convert {
  const byTarget = new Map<unknown, unknown>();
  return (options) => {
    const { target, ...others } = Object(options) as { target?: unknown };
    if (Object.keys(others).length > 0) return convert(options);
    if (!byTarget.has(target)) byTarget.set(target, convert(options));
    return copyOf(byTarget.get(target));
  };
}

/** Of JSON: converters return nothing else. */
function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copyOf);
  const copy: Record<string, unknown> = {};
  for (const key in value) {
    const member = (value as Record<string, unknown>)[key];
    // `__proto__` is a name like any other in JSON.
    if (key === '__proto__') Object.defineProperty(copy, key, { ...PLAIN, value: copyOf(member) });
    else copy[key] = typeof member === 'object' ? copyOf(member) : member;
  }
  return copy;
}

const PLAIN = { enumerable: true, writable: true, configurable: true };
