/** What must come of a server of a version of the SDK, and the table of it in docs/guide/eras-and-modes.md. */
// @ts-expect-error a script without declarations
import { renderTable } from '../../scripts/markdown-table.mjs';
import type { Outcome, Sdk, SdkCase, Way } from './sdk-case.ts';
import type { ClientKind } from './sdk-clients.ts';

type SdkName = Sdk['name'];

/** The versions that `npm run adopt -- --only sdks` tries, oldest first. */
export const SDK_VERSIONS: Readonly<Record<SdkName, readonly string[]>> = {
  '@modelcontextprotocol/sdk': [
    '1.0.1',
    '1.4.1',
    '1.8.0',
    '1.10.2',
    '1.12.3',
    '1.15.1',
    '1.17.5',
    '1.20.2',
    '1.23.1',
    '1.24.0',
    '1.26.0',
    '1.29.0',
    '1.32.2',
  ],
  '@modelcontextprotocol/server': ['2.0.0', '2.1.0', '2.2.0', '2.3.0', '2.4.0'],
};

/** The oldest version of which one object can serve all sessions (`src/definition/sdk-server.ts`). */
export const OBJECT_SINCE: Readonly<Record<SdkName, string>> = {
  '@modelcontextprotocol/sdk': '1.24.0',
  '@modelcontextprotocol/server': '2.3.0',
};

function isOlder(version: string, than: string): boolean {
  const [[major = 0, minor = 0, patch = 0], [m = 0, n = 0, p = 0]] = [version, than].map((text) =>
    text.split('.').map(Number),
  ) as [number[], number[]];
  return major !== m ? major < m : minor !== n ? minor < n : patch < p;
}

/** Whether the endpoint refuses it at the start. A bundle does not say its version; the bundled copies are old. */
const isRefused = ({ name, version }: Pick<Sdk, 'name' | 'version'>, way: Way): boolean =>
  way === 'object' && (version === undefined || isOlder(version, OBJECT_SINCE[name]));

/** What is wrong with an outcome, one line for each finding. */
export function wrongIn(
  { sdk, way }: SdkCase,
  { refused, seen, errors }: Outcome,
  kinds: readonly ClientKind[],
): string[] {
  const mustRefuse = isRefused(sdk, way);
  if (refused !== undefined) {
    const copy = `it is ${sdk.name} ${sdk.version ?? 'of an unknown version'} (in `;
    const isRight =
      refused.includes(copy) && refused.includes('pass a factory, which creates a new server in each call');
    return mustRefuse && isRight ? [] : [`refused: ${refused}`];
  }
  if (mustRefuse) return ['it was not refused'];
  const newest = sdk.name === '@modelcontextprotocol/server' ? '2026-07-28' : '2025';
  const wrong = kinds.flatMap(({ name, wants }) => {
    const came = seen[name] ?? 'nothing';
    const isServed = came === (wants === 'newest' ? newest : wants) && (wants === '2025' || came === newest);
    const isToldWhy = wants === '2026-07-28' && newest === '2025' && /Unsupported protocol version/.test(came);
    return isServed || isToldWhy ? [] : [`${name}: ${came}`];
  });
  return [...wrong, ...errors];
}

export const SDK_MARKS = ['<!-- sdks:begin -->', '<!-- sdks:end -->'] as const;

/** One row for each range of versions that are served alike. */
export function sdkTable(): string {
  const rows = (Object.keys(SDK_VERSIONS) as SdkName[]).flatMap((name) => {
    const isFirst = name === '@modelcontextprotocol/sdk';
    return [true, false].flatMap((refused) => {
      const versions = SDK_VERSIONS[name].filter((version) => isRefused({ name, version }, 'object') === refused);
      if (versions.length === 0) return [];
      const modern = isFirst ? 'refused with −32022' : 'served';
      const object = refused ? ['refused at the start', 'refused at the start'] : ['served', modern];
      return [[`\`${name}\``, versions.join(', '), 'served', modern, ...object]];
    });
  });
  const head = [
    'SDK',
    'versions',
    'factory: sessions',
    'factory: 2026-07-28',
    'object: sessions',
    'object: 2026-07-28',
  ];
  return renderTable(head, rows) as string;
}
