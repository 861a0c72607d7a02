/** What is printed at the end, on the normal screen: measured totals of both sides, and what the user did. */
import { duration } from './sentences.ts';
import type { Stage } from './stage.ts';

const DEEDS = 12;

export function summary(stage: Stage): string {
  const [ours, theirs] = [stage.totals(stage.ours), stage.totals(stage.theirs)];
  const longest = stage.waits.toSorted((a, b) => b.ms - a.ms)[0];
  const rows: [string, number, number, string][] = [
    ['calls answered', ours.answered, theirs.answered, ''],
    ['calls that waited', stage.waits.length, stage.theirWaits, ''],
    ['calls lost', ours.lost, theirs.lost, ''],
    ['sessions lost', ours.sessionsLost, theirs.sessionsLost, theirs.sessionsLost > 0 ? '404, for good' : ''],
  ];
  const shown = (value: number): string => value.toLocaleString('en-US').padStart(13);
  const { deeds } = stage;
  const list = [...deeds.slice(0, DEEDS), ...(deeds.length > DEEDS ? [`${deeds.length - DEEDS} more`] : [])];
  const lines = [
    '',
    `${' '.repeat(23)}on sojourn   on the SDK's own transport`,
    ...rows.map(([name, a, b, note]) => `   ${name.padEnd(17)}${shown(a)}${shown(b).padStart(29)}  ${note}`.trimEnd()),
    '',
    ...(longest === undefined ? [] : [`   The longest call took ${duration(longest.ms)}, after: ${longest.after}.`]),
    ...(deeds.length === 0 ? [] : [`   What was done: ${list.join(', ')}.`, '']),
    ...stage.errors.map((error) => `   lost on sojourn: ${error}`),
    '   Your server:  npx sojourn serve server.js --store sqlite:./sessions.db',
    "   In your app:  createMcpEndpoint(server, { store: sqlite('./sessions.db') })",
    '',
  ];
  return lines.join('\n') + '\n';
}
