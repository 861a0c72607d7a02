/** The page *Servers tried*: one row per published server, as the last whole run measured it. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
// @ts-expect-error a script without declarations
import { renderTable } from '../../scripts/markdown-table.mjs';
import type { ClientName } from './adopting-client.ts';
import type { PublishedServer } from './server-list.ts';
import { STAGES, type Measured } from './stages.ts';

const page = fileURLToPath(new URL('../../docs/guide/servers-tried.md', import.meta.url));

export interface Tried extends Measured {
  readonly server: PublishedServer;
  readonly clients: readonly ClientName[];
  readonly sdkVersion: string;
  /** Lines that the author removes and adds. */
  readonly removed: number;
  readonly added: number;
  /** What the call answers on stdio, the author's own transport. */
  readonly ownAnswer?: string | undefined;
  /** Why the server could not be started at all. */
  readonly refused: string | undefined;
}

const SDK = { '@modelcontextprotocol/sdk': 'v1', '@modelcontextprotocol/server': 'v2' } as const;

export const INTRO = `# Servers tried

Published servers and frameworks of other authors, moved onto sojourn with few lines. \`npm run adopt -- --only servers --write\` writes
this page from a run. It installs each server in an empty app with the packed sojourn, and starts it with \`sojourn serve\` on a SQLite file.
Read [what a server may assume](what-a-server-may-assume.md) before you move yours.

Four official clients use each server, with a session and with 2026-07-28 where the server's SDK has this revision. They connect, list the
tools, call one, and answer what the server asks (_fresh_). The same clients call again after \`kill -9\` and a new start, and after SIGTERM
and a new start. Then each uses two instances by turns.

No server of the run has a network, a key or a browser. A call that needs one must answer word for word, but for ids and times, what the published server answers on
stdio, its author's own transport; the notes have that answer. _Lines_ are those that the author removes and adds: [the changes](../../test/adopt/server-list.ts),
[the new modules](../../test/adopt/servers/).
`;

/** What the page says about a server whatever a run measures. */
export const rowStart = (server: PublishedServer, sdkVersion: string): string[] => [
  server.name,
  `\`${server.packages[0]}\``,
  `${SDK[server.sdk]} ${sdkVersion}${server.bundledSdk === undefined ? '' : ' (bundled)'}`,
  server.gives,
  server.sdk.endsWith('/server') ? '2025, 2026-07-28' : '2025',
];

export const HEAD = ['server', 'package', 'SDK', 'given as', 'eras', 'stages', 'lines'];

export function writePage(tried: readonly Tried[]): void {
  const rows = tried.map((each) => [
    ...rowStart(each.server, each.sdkVersion),
    stagesOf(each),
    `−${each.removed} +${each.added}`,
  ]);
  const notes = tried.flatMap((each) => {
    const { server, ownAnswer, refused } = each;
    const failures = each.outcomes.filter(({ failure }) => failure !== undefined);
    const lines = [
      ...(server.note === undefined ? [] : [server.note]),
      ...(refused === undefined ? [] : [`the published version does not start: \`${short(refused)}\``]),
      ...(ownAnswer === undefined ? [] : [`answers, as on stdio: \`${short(ownAnswer)}\``]),
      ...failures.map(({ client, stage, failure }) => `${client}, ${stage}: \`${short(failure ?? '')}\``),
      ...each.notes.map(short),
    ];
    return lines.length === 0 ? [] : [`- **${server.name}**: ${lines.join('; ')}`];
  });
  writeFileSync(page, `${INTRO}\n${renderTable(HEAD, rows)}\n\n## Notes\n\n${notes.join('\n')}\n`);
}

/** One line that can stand in a code span. */
const short = (text: string): string => text.replaceAll(/\s+/g, ' ').replaceAll('`', "'").trim().slice(0, 160);

/** `all four`, or the stages with how many of the clients passed. */
function stagesOf({ outcomes, refused, clients }: Tried): string {
  if (refused !== undefined) return 'not started';
  const passed = STAGES.map((stage) => outcomes.filter((each) => each.stage === stage && !each.failure).length);
  if (passed.every((count) => count === clients.length)) return 'all four';
  return STAGES.map((stage, n) => `${stage}: ${passed[n]} of ${clients.length} clients`).join(', ');
}
