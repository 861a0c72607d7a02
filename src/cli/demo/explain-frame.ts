/** The page behind `?`: what runs, what the keys do, how to read a row, and what the demo does to be fair. */
import { header, type Layout, widthOf } from './frame.ts';
import { type Line, span } from './styled-text.ts';
import { CAN_FREEZE } from './instance-names.ts';

const RUNS = `
   client ──▶ front ─┬▶ one ───┐
                     ├▶ two ───┼──▶ one SQLite file: sessions and their state
                     └▶ three ─┘
   The front sends each request to the next instance, whatever session it has.
   An instance is a process: sojourn serve counter.js --store sqlite:…
   --resume-modern-calls --retry-ms 500 (default: 4 s).
   On the right: three processes with the SDK's transport in a Map; their front
   keeps each session at its process. Both fronts hold an answer back until it
   is whole (at most 3 s), and send a POST again whose client has no head yet:
   the tool stores the number of its client, so a second run changes nothing.
`;

const KEYS = [
  ['k', 'kill -9', 'SIGKILL. Sessions are in the store; calls that ran run again.'],
  ['f', 'freeze', 'SIGSTOP. Calls wait until its lease ends. f again: it runs.'],
  ['d', 'drain', 'SIGTERM. Running calls end, the sessions are handed over.'],
  ['r', 'restart', 'Starts it again.'],
  ['s', 'store away', 'Its file is locked for 5 s. Calls on sessions wait.'],
] as const;

const ROW = `
   441  ·····w······  three  186 ms   441 calls are answered. One waited (w): it
   took 186 ms, the tool alone 100. Its session is on three now. x: an error.
`;

export function explainFrame(facts: Parameters<typeof header>[0], layout: Layout, rows: number): readonly Line[] {
  const space: Line[] = layout === 'large' ? [[]] : [];
  const keys = KEYS.filter(([key]) => CAN_FREEZE || key !== 'f');
  const lines: Line[] = [
    ...header(facts, widthOf(layout)),
    ...space,
    [span(' What runs here', 'bold')],
    ...space,
    ...textLines(RUNS),
    ...space,
    [span(' What the keys do, on both sides', 'bold')],
    ...space,
    ...keys.map(([key, name, text]) => [span(`   ${key.padEnd(3)}`, 'bold'), span(name.padEnd(12)), span(text)]),
    ...space,
    [span(' How to read a row', 'bold')],
    ...textLines(ROW),
  ];
  const end = [span(' More: docs/reliability.md                               any key goes back')];
  return Array.from({ length: rows }, (_, n) => (n === rows - 1 ? end : (lines[n] ?? [])));
}

const textLines = (text: string): Line[] =>
  text
    .slice(1, -1)
    .split('\n')
    .map((line) => [span(line)]);
