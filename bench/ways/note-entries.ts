import { parseAst } from 'vitest/node';

/** A function of `src/` with a block as its body. */
export interface Entry {
  readonly file: string;
  readonly name: string;
  /** Tells functions of one file apart. */
  readonly at: number;
  readonly of?: {
    readonly className: string;
    /** Fields that are not `readonly`. */
    readonly mutable: number;
  };
}

interface Tree {
  readonly type: string;
  readonly start: number;
  readonly [key: string]: unknown;
}

const isTree = (value: unknown): value is Tree => typeof (value as Tree | null)?.type === 'string';

function nameOf({ key, id }: Tree): string | undefined {
  const named = isTree(key) ? key : isTree(id) ? id : undefined;
  const name = named?.['name'];
  return typeof name !== 'string'
    ? undefined
    : named?.type === 'PrivateIdentifier'
      ? `#${name}`
      : name;
}

function classOf(tree: Tree): Entry['of'] {
  const members = (tree['body'] as Tree)['body'] as Tree[];
  const fields = members.filter(
    ({ type }) => type === 'PropertyDefinition' || type === 'AccessorProperty',
  );
  const mutable = fields.filter(
    (field) => field['readonly'] !== true && field['declare'] !== true,
  ).length;
  return { className: nameOf(tree) ?? `at ${tree.start}`, mutable };
}

/** The text of a file of `src/`, each of whose functions says first that it was entered. */
export function noteEntries(code: string, file: string): string {
  const notes: Array<readonly [at: number, entry: Entry]> = [];
  const walk = (value: unknown, name: string | undefined, of: Entry['of']): void => {
    if (Array.isArray(value)) return value.forEach((each) => walk(each, name, of));
    if (!isTree(value)) return;
    const own = nameOf(value) ?? name;
    const within = value.type.startsWith('Class') && isTree(value['body']) ? classOf(value) : of;
    const body = value['body'];
    if (
      /Function/.test(value.type) &&
      isTree(body) &&
      /^(BlockStatement|FunctionBody)$/.test(body.type)
    )
      notes.push([
        body.start + 1,
        { file, name: own ?? 'anonymous', at: value.start, ...(within && { of: within }) },
      ]);
    for (const child of Object.values(value)) walk(child, own, within);
  };
  walk(parseAst(code, { lang: 'ts' }), undefined, undefined);
  let noted = code;
  for (const [at, entry] of notes.toSorted(([a], [b]) => b - a))
    noted = `${noted.slice(0, at)} globalThis.noteEntry?.(${JSON.stringify(entry)}); ${noted.slice(at)}`;
  return noted;
}
