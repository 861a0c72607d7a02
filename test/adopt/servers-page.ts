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
  /** Why the server could not be started at all. */
  readonly refused: string | undefined;
}

const SDK = { '@modelcontextprotocol/sdk': 'v1', '@modelcontextprotocol/server': 'v2' } as const;

const INTRO = `# Servers tried

Published servers and frameworks that others wrote, moved onto sojourn in the smallest way that their authors could choose.
\`npm run adopt -- --only servers --write\` writes this page from a run: it installs each server in an empty app with
the packed sojourn, and starts it with \`sojourn serve\` on a SQLite file.

Four official clients use each server: \`v1\` (\`@modelcontextprotocol/sdk\`), and \`@modelcontextprotocol/client\` with a session
(\`v2 legacy\`), as it negotiates (\`v2 auto\`) and with 2026-07-28 alone (\`v2 pinned\`, where the server's SDK has this revision).
They connect, list the tools and call one (_fresh_). Where the server asks its client something, the client answers. The same clients
go on after \`kill -9\` and a new start, and after SIGTERM and a new start. Then they use two instances by turns, one request each.

_Lines_: those that the author removes and adds. Servers whose calls need a network answer with their error; the stage passes
when that answer arrives.
`;

export function writePage(tried: readonly Tried[]): void {
  const rows = tried.map((each) => {
    const { server, sdkVersion, removed, added } = each;
    const eras = server.sdk.endsWith('/server') ? '2025, 2026-07-28' : '2025';
    const copy = `${SDK[server.sdk]} ${sdkVersion}${server.bundledSdk === undefined ? '' : ' (bundled)'}`;
    const cells = STAGES.map((stage) => cellOf(each, stage));
    return [server.name, `\`${server.packages[0]}\``, copy, server.gives, eras, ...cells, `−${removed} +${added}`];
  });
  const table = renderTable(['server', 'package', 'SDK', 'given as', 'eras', ...STAGES, 'lines'], rows);
  const notes = tried.flatMap((each) => {
    const failures = each.outcomes.filter(({ failure }) => failure !== undefined);
    const lines = [
      ...(each.server.note === undefined ? [] : [each.server.note]),
      ...(each.refused === undefined ? [] : [`not started: ${each.refused}`]),
      ...failures.map(({ client, stage, failure }) => `${client}, ${stage}: ${failure}`),
      ...each.notes,
    ];
    return lines.length === 0 ? [] : [`- **${each.server.name}**`, ...lines.map((line) => `  - ${oneLine(line)}`)];
  });
  writeFileSync(page, `${INTRO}\n${table}\n\n## Notes\n\n${notes.join('\n')}\n`);
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').replaceAll('<', '&lt;').trim();

/** `pass`, or how many of the clients passed. */
function cellOf({ outcomes, refused, clients }: Tried, stage: (typeof STAGES)[number]): string {
  if (refused !== undefined) return 'not started';
  const passed = outcomes.filter((each) => each.stage === stage && each.failure === undefined).length;
  return passed === clients.length ? 'pass' : `${passed} of ${clients.length} clients`;
}
