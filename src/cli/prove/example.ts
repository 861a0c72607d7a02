/**
 * A value that a JSON Schema accepts, for the arguments of a tool and the answers to its questions: what the schema
 * names (`const`, `default`, `examples`, `enum`), else the smallest of its type, with required members alone.
 */
import { isObject } from '../../base/protocol/jsonrpc.ts';

/** This schema asks for something that is not made up here. */
export class NoExample extends Error {}

const DEEPEST = 12;
const FORMATS: Readonly<Record<string, string>> = {
  date: '2026-01-01',
  'date-time': '2026-01-01T00:00:00Z',
  time: '00:00:00Z',
  email: 'someone@example.com',
  hostname: 'example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uri: 'https://example.com/',
  url: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
};

type Schema = Readonly<Record<string, unknown>>;

/** Throws `NoExample`. */
export function exampleOf(schema: unknown): unknown {
  return new Examples(schema).of(schema, 0);
}

class Examples {
  readonly #root: unknown;

  constructor(root: unknown) {
    this.#root = root;
  }

  of(given: unknown, depth: number): unknown {
    if (depth > DEEPEST) throw new NoExample('it is too deep');
    if (!isObject(given)) return 'text';
    const schema = given['$ref'] === undefined ? given : this.#referred(String(given['$ref']));
    for (const name of ['const', 'default']) if (schema[name] !== undefined) return schema[name];
    for (const name of ['examples', 'enum']) {
      const values = schema[name];
      if (Array.isArray(values) && values.length > 0) return values[0] as unknown;
    }
    for (const name of ['anyOf', 'oneOf'])
      if (Array.isArray(schema[name])) return this.#first(schema[name], depth);
    if (Array.isArray(schema['allOf'])) return this.of(merged(schema), depth + 1);
    return this.#ofType(schema, depth);
  }

  #referred(pointer: string): Schema {
    let at: unknown = pointer.startsWith('#') ? this.#root : undefined;
    for (const part of pointer.split('/').slice(1))
      at = isObject(at) ? at[part.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined;
    if (!isObject(at)) throw new NoExample(`it refers to ${pointer}`);
    return at;
  }

  #first(choices: readonly unknown[], depth: number): unknown {
    let failure: unknown = new NoExample('it has no choice');
    for (const choice of choices)
      try {
        return this.of(choice, depth + 1);
      } catch (error) {
        failure = error;
      }
    throw failure;
  }

  #ofType(schema: Schema, depth: number): unknown {
    const { type: given } = schema;
    const type: unknown = Array.isArray(given) ? given[0] : given;
    switch (type ?? (isObject(schema['properties']) ? 'object' : 'string')) {
      case 'object':
        return this.#object(schema, depth);
      case 'array':
        return Array.from({ length: Number(schema['minItems'] ?? 0) }, () =>
          this.of(schema['items'], depth + 1),
        );
      case 'number':
      case 'integer':
        return numberIn(schema);
      case 'boolean':
        return true;
      case 'null':
        return null;
      default:
        return textIn(schema);
    }
  }

  #object({ properties, required }: Schema, depth: number): unknown {
    const names = Array.isArray(required) ? required.map(String) : [];
    const members = isObject(properties) ? properties : {};
    return Object.fromEntries(names.map((name) => [name, this.of(members[name], depth + 1)]));
  }
}

/** All that a schema and its parts say; the last one wins. */
function merged({ allOf, ...rest }: Schema): Schema {
  const parts = [...(allOf as unknown[]).filter(isObject), rest];
  const all = (name: string) => parts.flatMap((part) => (part[name] as unknown[]) ?? []);
  const properties = Object.assign({}, ...parts.map((part) => part['properties'])) as object;
  return { ...Object.assign({}, ...parts), properties, required: all('required') } as Schema;
}

function numberIn(schema: Schema): number {
  const bound = (name: string): number | undefined =>
    typeof schema[name] === 'number' ? schema[name] : undefined;
  const step = bound('multipleOf') ?? 1;
  const above = bound('exclusiveMinimum');
  const least = bound('minimum') ?? (above === undefined ? undefined : above + step);
  const most = bound('maximum') ?? bound('exclusiveMaximum');
  const value = Math.ceil((least ?? Math.min(1, most ?? 1)) / step) * step;
  if (value > (most ?? Infinity)) throw new NoExample('it has no number in its range');
  return value;
}

function textIn(schema: Schema): string {
  if (schema['pattern'] !== undefined && schema['format'] === undefined)
    throw new NoExample(`it asks for a text like ${String(schema['pattern'])}`);
  const text = FORMATS[String(schema['format'])] ?? 'text';
  const { minLength: least, maxLength: most } = schema;
  return text.padEnd(Number(least ?? 0), 'x').slice(0, Number(most ?? Infinity));
}
