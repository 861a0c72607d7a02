/**
 * Each version of the SDK in the list, behind a factory and as one object, with the clients of both lines: the newest
 * ones, and old ones. `--write` keeps the table of what works in docs/reference/packages.md.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installPackages } from './app-folder.ts';
import type { AdoptPart } from './part.ts';
import { type ClassName, type Sdk, type SdkCase, trySdk } from './sdk-case.ts';
import { type ClientKind, firstLine, secondLine, withTasks } from './sdk-clients.ts';
import { SDK_MARKS, SDK_VERSIONS, sdkTable, wrongIn } from './sdk-expected.ts';

const page = fileURLToPath(new URL('../../docs/reference/packages.md', import.meta.url));
const own = fileURLToPath(new URL('../../node_modules/@modelcontextprotocol', import.meta.url));

const aliasOf = (name: string, version: string): string => `${name.split('/').at(-1)}-${version}`;

export const run: AdoptPart = async ({ filter, write, out }) => {
  const sdks = (Object.keys(SDK_VERSIONS) as Array<Sdk['name']>).flatMap((name) =>
    SDK_VERSIONS[name].map((version) => ({ name, version })),
  );
  const packages = sdks.map(({ name, version }) => `${aliasOf(name, version)}@npm:${name}@${version}`);
  const oldClient = 'client-2.0.0@npm:@modelcontextprotocol/client@2.0.0';
  const modules = join(await installPackages('sdks', [...packages, oldClient]), 'node_modules');
  const kinds = clientsIn(modules);
  const failed: string[] = [];
  for (const sdk of sdks) {
    for (const one of casesOf({ ...sdk, folder: buildIn(join(modules, aliasOf(sdk.name, sdk.version))) })) {
      const name = `${sdk.name} ${sdk.version}, ${one.className}, ${one.way}`;
      if (filter !== undefined && !name.includes(filter)) continue;
      const outcome = await trySdk(one, kinds);
      const wrong = wrongIn(one, outcome, kinds);
      out(`${wrong.length === 0 ? 'pass' : 'FAIL'}  ${name}${outcome.refused === undefined ? '' : ' (refused)'}`);
      for (const line of wrong) out(`      ${line}`);
      if (wrong.length > 0) failed.push(name);
    }
  }
  if (write && failed.length === 0) writeTable();
  return failed;
};

/** The old ones: the first with Streamable HTTP, and the first of the second line. */
function clientsIn(modules: string): ClientKind[] {
  const [first, second] = [join(own, 'sdk/dist/esm'), join(own, 'client/dist')];
  const pinned = { pin: '2026-07-28' } as const;
  return [
    firstLine('v1', first),
    secondLine('v2', second, 'legacy'),
    secondLine('v2 auto', second, 'auto'),
    secondLine('v2 pinned', second, pinned),
    firstLine('v1 1.10.2', join(modules, 'sdk-1.10.2/dist/esm')),
    secondLine('v2 2.0.0 auto', join(modules, 'client-2.0.0/dist'), 'auto'),
    secondLine('v2 2.0.0 pinned', join(modules, 'client-2.0.0/dist'), pinned),
    withTasks,
  ];
}

/** The folder of the ES modules. */
function buildIn(folder: string): string {
  const esm = join(folder, 'dist/esm');
  return existsSync(esm) ? esm : join(folder, 'dist');
}

function casesOf(sdk: Sdk): SdkCase[] {
  const hasMcpServer = ['server/mcp.js', 'index.mjs'].some((file) => existsSync(join(sdk.folder, file)));
  const classes: readonly ClassName[] = hasMcpServer ? ['McpServer', 'Server'] : ['Server'];
  return classes.flatMap((className) => (['factory', 'object'] as const).map((way) => ({ sdk, className, way })));
}

function writeTable(): void {
  const [begin, end] = SDK_MARKS;
  const text = readFileSync(page, 'utf8');
  const [from, to] = [text.indexOf(begin) + begin.length, text.indexOf(end)];
  writeFileSync(page, `${text.slice(0, from)}\n\n${sdkTable()}\n\n${text.slice(to)}`);
}
