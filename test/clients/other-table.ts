/** Keeps what a run with `--write` saw in docs/guide/clients.md: the table between its two marks. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Seen } from './other-client.ts';
import type { Other } from './other-list.ts';

const guide = fileURLToPath(new URL('../../docs/guide/clients.md', import.meta.url));
const MARKS = ['<!-- clients:begin -->', '<!-- clients:end -->'] as const;
const cases = {
  connect: 'connect 40 times',
  'at once': '100 calls at once',
  freeze: 'frozen for 5 s',
  restart: "store's server away for 3 s",
  answer: 'answer while the store is away',
} as const;

/** `0 of 90`, and what the user saw where it is more. */
function summary(seen: readonly Seen[]): string {
  const wrong = seen.filter((each) => each !== 'ok');
  const kinds = new Set(wrong.map((each) => each.split(':')[0]));
  return wrong.length === 0 ? `0 of ${seen.length}` : `**${wrong.length} of ${seen.length}**: ${[...kinds].join(', ')}`;
}

function rows({ title, results }: Other): string[] {
  return ['sqlite', 'redis', 'postgres'].map((store) => {
    const cells = Object.keys(cases).map((id) => {
      const seen = results.filter((each) => each.id === id && each.store === store).flatMap((each) => each.seen);
      return seen.length === 0 ? '–' : summary(seen);
    });
    return `| ${title} | ${store} | ${cells.join(' | ')} |`;
  });
}

/** Does nothing in runs without `--write`. */
export function keep(others: readonly Other[]): void {
  if (process.env['SOJOURN_CLIENTS_WRITE'] === undefined) return;
  const head = ['client, era', 'store', ...Object.values(cases)];
  const table = [
    `| ${head.join(' | ')} |`,
    `| ${head.map(() => '---').join(' | ')} |`,
    ...others.flatMap((other) => rows(other)),
  ];
  const text = readFileSync(guide, 'utf8');
  const [begin, end] = MARKS.map((mark) => text.indexOf(mark));
  if (begin === undefined || end === undefined || begin < 0 || end < begin) throw new Error('its marks are missing');
  writeFileSync(guide, `${text.slice(0, begin)}${MARKS[0]}\n\n${table.join('\n')}\n\n${text.slice(end)}`);
}
