/** `docs/reference/notices.md`: it has every notice of the option `observe` with its fields, and no other. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** Kind → fields, of the interfaces with a `kind`, and of those that they extend. */
function typed(): Map<string, readonly string[]> {
  const source = ['notices', 'step-notices'].map((name) => read(`src/observe/${name}.ts`)).join('\n');
  const bodies = new Map(
    [...source.matchAll(/interface (\w+)(?: extends (\w+))? \{\n([\s\S]*?)\n\}/g)].map(
      ([, name = '', base, body = '']) => [
        name,
        { base, fields: [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, field = '']) => field), body },
      ],
    ),
  );
  const kinds = [...bodies.values()].flatMap(({ base, fields, body }) => {
    const kind = /^ {2}readonly kind: '(\w+)';/m.exec(body)?.[1];
    if (kind === undefined) return [];
    const all = [...(base === undefined ? [] : (bodies.get(base)?.fields ?? [])), ...fields];
    return [[kind, all.filter((field) => field !== 'kind')] as const];
  });
  const events = /interface SessionEventMap \{\n([\s\S]*?)\n\}/.exec(read('src/types.ts'))?.[1] ?? '';
  const sessions = [...events.matchAll(/^ {2}(\w+): \[SessionEvent & \{ (.*) \}\];/gm)].map(
    ([, kind = '', more = '']) =>
      [kind, ['sessionId', 'at', ...[...more.matchAll(/(\w+)\??:/g)].map(([, field = '']) => field)]] as const,
  );
  return new Map<string, readonly string[]>([...kinds, ...sessions]);
}

/** Other options get them. */
const NOT_OBSERVED = ['request', 'handlerThrew'];

const rows = new Map(
  [...read('docs/reference/notices.md').matchAll(/^\| `(\w+)` +\| .* \| +(.*?) *\|$/gm)].map(
    ([, kind = '', fields = '']) => [kind, [...fields.matchAll(/`(\w+)`/g)].map(([, field = '']) => field)],
  ),
);

describe('the page of the notices', () => {
  const kinds = [...typed()].filter(([kind]) => !NOT_OBSERVED.includes(kind));

  test('has every notice, and no other', () => {
    expect(kinds.length).toBeGreaterThan(20);
    expect([...rows.keys()].toSorted()).toEqual(kinds.map(([kind]) => kind).toSorted());
  });

  test.each(kinds)('names the fields of %s', (kind, fields) => {
    expect(rows.get(kind)?.toSorted()).toEqual(fields.toSorted());
  });
});
