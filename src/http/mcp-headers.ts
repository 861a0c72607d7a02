/**
 * Compares the headers that mirror a modern request's body (SEP-2243): `Mcp-Method`, `Mcp-Name`, and the `Mcp-Param-*`
 * that a tool declares with `x-mcp-header`, where a property may be null too. An integer of the body must be a safe one.
 */
import { headerMismatch, type SojournError } from '../base/errors.ts';
import type { CallerRequest } from './caller-request.ts';
import { isObject, type RpcRequest } from '../base/protocol/jsonrpc.ts';
import { methodOf } from '../base/protocol/methods.ts';
import { orUndefined } from '../base/or-undefined.ts';
import { quoted, shown } from '../base/shown.ts';

const SENTINEL = /^=\?base64\?(.*)\?=$/;
/** A number of JSON, in any spelling. */
const NUMBER = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** It keeps a byte-order mark, which is part of the text. */
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Decodes the Base64 form of a header value; `undefined` when the value is invalid. Its server took blanks away. */
function decode(value: string): string | undefined {
  // Non-ASCII bytes arrive as Latin-1 and would equal text that they do not encode.
  if (!/^[\t\x20-\x7e]*$/.test(value)) return undefined;
  const encoded = SENTINEL.exec(value)?.[1];
  if (encoded === undefined) return value;
  if (!BASE64.test(encoded)) return undefined;
  return orUndefined(() => UTF8.decode(Buffer.from(encoded, 'base64')));
}

/** A header value that decodes to `text`. */
export const encoded = (text: string): string =>
  decode(text) === text ? text : `=?base64?${Buffer.from(text).toString('base64')}?=`;

export function checkStandardHeaders(
  caller: CallerRequest,
  message: RpcRequest,
): SojournError | undefined {
  const methodHeader = caller.header('mcp-method');
  if (methodHeader === undefined || methodHeader.trim() !== message.method) {
    return headerMismatch(
      'Mcp-Method',
      methodHeader,
      `the body names method ${shown(message.method)}`,
    );
  }
  const source = methodOf(message.method).mirrored;
  const name = source === undefined ? undefined : message.params?.[source];
  if (typeof name !== 'string') return undefined;
  const header = caller.header('mcp-name');
  if (header === undefined || decode(header) !== name) {
    return headerMismatch('Mcp-Name', header, `the body carries params.${source}=${quoted(name)}`);
  }
  return undefined;
}

/** What the names of headers for arguments begin with. */
export const PARAM_PREFIX = 'mcp-param-';

interface HeaderParam {
  readonly path: readonly string[];
  readonly header: string;
  readonly isInteger: boolean;
}

/** The `x-mcp-header` declarations of a tool's input schema, at any depth of `properties`. */
function declaredParams(schema: unknown, path: readonly string[] = []): HeaderParam[] {
  const properties = isObject(schema) ? schema['properties'] : undefined;
  if (!isObject(properties)) return [];
  return Object.entries(properties).flatMap(([key, property]) => {
    if (!isObject(property)) return [];
    const here = [...path, key];
    const name = property['x-mcp-header'];
    const isInteger = [property['type']].flat().includes('integer');
    const own: HeaderParam[] =
      typeof name === 'string'
        ? [{ path: here, header: PARAM_PREFIX + name.toLowerCase(), isInteger }]
        : [];
    return [...own, ...declaredParams(property, here)];
  });
}

/** Whether the tool with this input schema asks for headers. */
export const declaresParams = (schema: unknown): boolean => declaredParams(schema).length > 0;

/** Whether a decoded header has this value of the body. A number may have another spelling. */
function mirrors(header: string, value: unknown, isInteger: boolean): boolean {
  if (typeof value !== 'number') return header === String(value);
  return (
    (!isInteger || Number.isSafeInteger(value)) && NUMBER.test(header) && Number(header) === value
  );
}

/** The headers that a client sends with these arguments. */
export function mirroredHeaders(schema: unknown, args: unknown): Record<string, string> {
  const mirrored = declaredParams(schema).map(
    ({ path, header }) => [header, valueAt(args, path)] as const,
  );
  const sent = mirrored.filter(
    ([, value]) => value !== undefined && value !== null && typeof value !== 'object',
  );
  return Object.fromEntries(sent.map(([header, value]) => [header, encoded(String(value))]));
}

/** `undefined`: the headers mirror the arguments as the tool declares it. */
export function checkParamHeaders(
  caller: CallerRequest,
  schema: unknown,
  args: unknown,
): SojournError | undefined {
  for (const { path, header: name, isInteger } of declaredParams(schema)) {
    const value = valueAt(args, path);
    if (value === undefined || value === null || typeof value === 'object') continue;
    const header = caller.header(name);
    const decoded = header === undefined ? undefined : decode(header);
    if (decoded === undefined || !mirrors(decoded, value, isInteger))
      return headerMismatch(name, header, `the body carries ${path.join('.')}=${quoted(value)}`);
  }
  return undefined;
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let node = root;
  for (const key of path) node = isObject(node) ? node[key] : undefined;
  return node;
}
