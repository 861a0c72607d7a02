/**
 * The tools that an `McpServer` has registered, as objects with public members (`RegisteredTool` of the SDK).
 *
 * **What a tool throws.** The SDK turns it into a result with `isError`, so only a function in place of the tool's own
 * one sees it. It is put there at the first call of the tool, and again after an update of the tool.
 *
 * **The JSON Schema of a tool's schemas.** The SDK converts every schema again for each `tools/list`, and for each call
 * of 2026-07-28 that of its tool. It does so through `~standard.jsonSchema`, the public interface of schema libraries
 * (Standard JSON Schema): `input` and `output` of this member are replaced by functions that convert once, and then
 * return copies. The key is the schema object, so a tool that is updated with another schema is converted again. Each
 * result is a new copy, because an application that replaced `tools/list` may change what the SDK's handler returned.
 *
 * Not remembered, so converted each time as before: schemas that create this member for each access, or whose member
 * cannot be written, and the schemas of SDK 1, which converts zod's schemas without that interface.
 */
import { isObject } from '../base/protocol/jsonrpc.ts';

export type Tool = Record<string, unknown>;

/** In which member a class of servers keeps its tools by name: the first member that has a tool. */
const members = new WeakMap<object, string>();

function registeredTools(server: object): Readonly<Record<string, unknown>> {
  let member = members.get(server.constructor);
  // The low-level server has none.
  if (member === undefined && 'server' in server) {
    for (const name in server)
      if (name !== 'server' && Object.values(objectIn(server, name)).some(isTool)) member ??= name;
    if (member !== undefined) members.set(server.constructor, member);
  }
  return member === undefined ? {} : objectIn(server, member);
}

/** The tool of this name, else all: code around a handler may call a tool by another name than its client does. */
function toolsNamed(server: object, name: string | undefined): unknown[] {
  const tools = registeredTools(server);
  return name !== undefined && Object.hasOwn(tools, name) ? [tools[name]] : Object.values(tools);
}

const objectIn = (of: object, name: string): Record<string, unknown> =>
  Object(Reflect.get(of, name)) as Record<string, unknown>;

/** Prompts and resources have no input schema. */
const isTool = (value: unknown): value is Tool =>
  isObject(value) && 'inputSchema' in value && 'enabled' in value;

// ——— what a tool throws ———

type ToolFunction = (...args: unknown[]) => unknown;
type Wrap = (run: ToolFunction, tool: Tool) => ToolFunction;

/** The functions that `noticeThrows` has put in the place of others, and these. */
const noticing = new WeakMap<object, ToolFunction>();

/** What runs a tool: the first of these that it has, from SDK 2 to SDK 1.10. */
const RUNNERS = ['executor', 'handler', 'callback'];

/** Puts the function that `wrap` makes in the place of what runs the called tool. */
export function noticeThrows(server: object, called: string, wrap: Wrap): void {
  for (const tool of toolsNamed(server, called)) replaceRunner(tool, wrap);
}

function replaceRunner(tool: unknown, wrap: Wrap): void {
  if (!isObject(tool)) return;
  const member = RUNNERS.find((name) => name in tool) ?? '';
  const run = tool[member];
  // A tool with tasks of SDK 1.
  if (isObject(run)) replaceRun(tool, run, 'createTask', wrap);
  else replaceRun(tool, tool, member, wrap);
}

function replaceRun(tool: Tool, of: Tool, member: string, wrap: Wrap): void {
  const run = of[member];
  if (typeof run !== 'function' || noticing.has(run)) return;
  const wrapped = wrap(run as ToolFunction, tool);
  // `false`: it is frozen.
  if (Reflect.set(of, member, wrapped)) noticing.set(wrapped, run as ToolFunction);
}

/** A registered tool, and what the application has given as its handler. */
export function toolOfServer(
  server: object,
  name: string,
): { readonly tool: Tool; readonly handler: object } | undefined {
  const tools = registeredTools(server);
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
  const run: unknown = isObject(tool) ? (tool['handler'] ?? tool['callback']) : undefined;
  if (!isObject(tool) || typeof run !== 'function') return undefined;
  return { tool, handler: noticing.get(run) ?? run };
}

// ——— schemas ———

type Convert = (options: unknown) => unknown;

const known = new WeakSet<object>();

/** Prepares the schemas of all tools of an `McpServer`, or of the named tool. Cheap for schemas that were prepared. */
export function rememberSchemas(server: object, name?: string): void {
  // SDK 1 lacks this method.
  if (!('toolInputSchemaJson' in server)) return;
  for (const tool of toolsNamed(server, name))
    if (isObject(tool)) for (const io of ['inputSchema', 'outputSchema']) remember(tool[io]);
}

function remember(schema: unknown): void {
  // The schemas of some libraries are functions.
  if (
    (typeof schema !== 'object' && typeof schema !== 'function') ||
    schema === null ||
    known.has(schema)
  )
    return;
  known.add(schema);
  const standard: unknown = Reflect.get(schema, '~standard');
  const converters = isObject(standard) ? standard['jsonSchema'] : undefined;
  if (!isObject(standard) || !isObject(converters) || standard !== Reflect.get(schema, '~standard'))
    return;
  for (const io of ['input', 'output']) {
    const convert = converters[io];
    // `false`: it is frozen.
    if (typeof convert === 'function')
      Reflect.set(converters, io, remembering(convert.bind(converters) as Convert));
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

/** Copies JSON: converters return nothing else. */
function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copyOf);
  // `__proto__` is a name like any other in JSON: spread has it as an own member, which can be set.
  const copy: Record<string, unknown> = { ...value };
  for (const key in copy) if (typeof copy[key] === 'object') copy[key] = copyOf(copy[key]);
  return copy;
}
