/** Keeps what a run with `--write` saw in docs/internals/clients.md: the table between its two marks. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Seen } from './other-client.ts';
import type { Flaw, Other } from './other-list.ts';
import { CASES, meets, type CaseId } from './other-rounds.ts';

const guide = fileURLToPath(new URL('../../docs/internals/clients.md', import.meta.url));
const MARKS = ['<!-- clients:begin -->', '<!-- clients:end -->'] as const;
const KINDS = ['failed', 'hung', 'dead', 'no push'] as const;
const ids = Object.keys(CASES) as CaseId[];

/** A connection that was refused failed. */
function kindOf(seen: Seen): Flaw['kinds'][number] {
  if (seen.startsWith('refused: hung')) return 'hung';
  return KINDS.find((kind) => seen.startsWith(kind)) ?? 'failed';
}

/** By which of its flaws the user saw it. */
export const flawOf = (seen: Seen, flaws: readonly Flaw[] = []): Flaw | undefined =>
  flaws.find(({ kinds, told }) => kinds.includes(kindOf(seen)) && (told?.test(seen) ?? true));

const isWrong = (each: Seen): boolean => each !== 'ok';

/** `0`, or how often the user saw what. */
function summary(seen: readonly Seen[], note: string): string {
  const wrong = seen.filter(isWrong);
  if (wrong.length === 0) return '0';
  const counts = KINDS.map((kind) => [kind, wrong.filter((each) => kindOf(each) === kind).length] as const);
  const shown = counts.flatMap(([kind, count]) => (count > 0 ? [`${count} ${kind}`] : []));
  return `${shown.join(', ')} of ${seen.length}${note}`;
}

function table(others: readonly Other[], durationMs: number): string {
  const notes: string[] = [];
  const noteOf = (why: string): string => {
    if (!notes.includes(why)) notes.push(why);
    return ` (${notes.indexOf(why) + 1})`;
  };
  const wentWrong = (of: Other['results']): boolean => of.some(({ seen }) => seen.some(isWrong));
  const columns = ids.filter((id) => others.some(({ results }) => wentWrong(results.filter((each) => each.id === id))));
  const flawed = others.filter(({ results }) => wentWrong(results));
  const rows = flawed.map(({ title, era, flaws, results }) => {
    const cells = columns.map((id) => {
      const seen = results.filter((each) => each.id === id).flatMap((each) => each.seen);
      if (!meets(era, id) || seen.length === 0) return '–';
      const whys = new Set(seen.filter(isWrong).flatMap((each) => flawOf(each, flaws[id])?.why ?? []));
      return summary(seen, [...whys].map(noteOf).join(''));
    });
    return `| ${title} | ${cells.join(' | ')} |`;
  });
  const wheres = [...new Set(others.flatMap(({ results }) => results.map(({ where }) => where)))];
  const places = wheres.map((where) => {
    const seen = others.flatMap(({ results }) => results.filter((each) => each.where === where)).flatMap((e) => e.seen);
    return `- ${where}: ${summary(seen, '')}`;
  });
  const lines = [
    `Nothing went wrong in ${ids
      .filter((id) => !columns.includes(id))
      .map((id) => `_${CASES[id]}_`)
      .join(', ')}, and for`,
    `${others
      .filter((other) => !flawed.includes(other))
      .map(({ title }) => title)
      .join('; ')}.`,
    '',
    `| client, era | ${columns.map((id) => CASES[id]).join(' | ')} |`,
    `| --- | ${columns.map(() => '---').join(' | ')} |`,
    ...rows,
    '',
    ...notes.map((why, n) => `${n + 1}. ${why}`),
    '',
    `In sum, in ${Math.ceil(durationMs / 60_000)} minutes on two cores:`,
    '',
    ...places,
  ];
  return lines.join('\n');
}

/** Does nothing in runs without `--write`. */
export function keep(others: readonly Other[], durationMs: number): void {
  const text = table(others, durationMs);
  if (process.env['SOJOURN_CLIENTS'] === 'all') console.log(text);
  if (process.env['SOJOURN_CLIENTS_WRITE'] === undefined) return;
  const page = readFileSync(guide, 'utf8');
  const [begin, end] = MARKS.map((mark) => page.indexOf(mark));
  if (begin === undefined || end === undefined || begin < 0 || end < begin) throw new Error('its marks are missing');
  writeFileSync(guide, `${page.slice(0, begin)}${MARKS[0]}\n\n${text}\n\n${page.slice(end)}`);
  execFileSync(fileURLToPath(new URL('../../node_modules/.bin/oxfmt', import.meta.url)), [guide]);
}
