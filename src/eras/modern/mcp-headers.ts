/**
 * Compares the headers that mirror a modern request's body (SEP-2243): `Mcp-Method`, `Mcp-Name`, and the `Mcp-Param-*`
 * that a tool declares with `x-mcp-header`. The SDK checks them too, but after the envelope, by floating point, and not
 * where a property may be null. Here they are compared at their place in the order, by digits, and for every
 * declaration.
 */
import { headerMismatch, type SojournError } from '../../errors.ts';
import type { CallerRequest } from '../../http/exchange.ts';
import { withoutBlanks } from '../../http/text-ends.ts';
import { isObject, type RpcRequest } from '../../protocol/jsonrpc.ts';
import { quoted, shown } from '../../base/shown.ts';
import { canonicalInteger, numberTextAt } from './json-number.ts';

/** Which member of `params` the `Mcp-Name` header mirrors. */
const NAME_SOURCE: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
};

const SENTINEL = /^=\?base64\?(.*)\?=$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Trims a header value and decodes its Base64 form; `undefined` when the value is invalid. */
function decode(header: string): string | undefined {
  const value = withoutBlanks(header);
  // Non-ASCII bytes arrive as Latin-1 and would equal text that they do not encode.
  if (!/^[\t\x20-\x7e]*$/.test(value)) return undefined;
  const encoded = SENTINEL.exec(value)?.[1];
  if (encoded === undefined) return value;
  if (!BASE64.test(encoded)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(encoded, 'base64'));
  } catch {
    return undefined;
  }
}

/** A header value that decodes to `text`. */
export const encoded = (text: string): string =>
  decode(text) === text ? text : `=?base64?${Buffer.from(text).toString('base64')}?=`;

export function checkStandardHeaders(caller: CallerRequest, message: RpcRequest): SojournError | undefined {
  const methodHeader = caller.header('mcp-method');
  if (methodHeader === undefined || methodHeader.trim() !== message.method) {
    return headerMismatch('Mcp-Method', methodHeader, `the body names method ${shown(message.method)}`);
  }
  const source = NAME_SOURCE[message.method];
  const name = source === undefined ? undefined : message.params?.[source];
  if (typeof name !== 'string') return undefined;
  const header = caller.header('mcp-name');
  if (header === undefined || decode(header) !== name) {
    return headerMismatch('Mcp-Name', header, `the body carries params.${source}=${quoted(name)}`);
  }
  return undefined;
}

interface HeaderParam {
  readonly path: readonly string[];
  readonly header: string;
  readonly type: 'integer' | 'number' | 'text';
}

/** The `x-mcp-header` declarations of a tool's input schema, at any depth of `properties`. */
function declaredParams(schema: unknown, path: readonly string[] = []): HeaderParam[] {
  const properties = isObject(schema) ? schema['properties'] : undefined;
  if (!isObject(properties)) return [];
  return Object.entries(properties).flatMap(([key, property]) => {
    if (!isObject(property)) return [];
    const here = [...path, key];
    const name = property['x-mcp-header'];
    const types: unknown[] = [property['type']].flat();
    const type = types.includes('integer') ? 'integer' : types.includes('number') ? 'number' : 'text';
    const own: HeaderParam[] =
      typeof name === 'string' ? [{ path: here, header: `mcp-param-${name.toLowerCase()}`, type }] : [];
    return [...own, ...declaredParams(property, here)];
  });
}

export type ParamCheck =
  | { readonly refusal: SojournError }
  /** Header values as the SDK's own comparison expects them; none when the tool declares no header. */
  | { readonly canonical: ReadonlyMap<string, string> | undefined };

/** `mirrors`: the instance sends the call itself, and its headers are made here. */
export function checkParamHeaders(
  caller: CallerRequest,
  schema: unknown,
  message: RpcRequest,
  text: string | undefined,
  mirrors: boolean,
): ParamCheck {
  const declared = declaredParams(schema);
  if (declared.length === 0) return { canonical: undefined };
  const canonical = new Map<string, string>();
  for (const param of declared) {
    const value = valueAt(message.params?.['arguments'], param.path);
    if (value === undefined || value === null || typeof value === 'object') continue;
    if (mirrors) {
      canonical.set(param.header, encoded(String(value)));
      continue;
    }
    const header = caller.header(param.header);
    const decoded = header === undefined ? undefined : decode(header);
    const body = `the body carries ${param.path.join('.')}=${quoted(value)}`;
    const wrong = { refusal: headerMismatch(param.header, header, body) };
    if (decoded === undefined) return wrong;
    if (param.type === 'integer' && typeof value === 'number') {
      const written = text === undefined ? undefined : numberTextAt(text, ['params', 'arguments', ...param.path]);
      const expected = canonicalInteger(written ?? String(value));
      if (expected === undefined || canonicalInteger(decoded) !== expected) return wrong;
      canonical.set(param.header, expected);
    } else if (decoded !== String(value) && !(param.type === 'number' && sameDecimal(decoded, value))) {
      return wrong;
    }
  }
  return { canonical };
}

/** Compares as the SDK does. The specification mirrors no numbers but integers. */
function sameDecimal(header: string, value: unknown): boolean {
  return /^-?\d+(\.\d+)?$/.test(header) && Number(header) === value;
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let node = root;
  for (const key of path) node = isObject(node) ? node[key] : undefined;
  return node;
}
