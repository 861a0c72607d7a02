/** One server object of a version of the SDK that cannot serve many sessions: what the refusal says. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { lackOf } from '../../tools/installed.ts';
import { createMcpEndpoint, type ConnectableServer } from '../../src/index.ts';
import { buildOf, bundle } from '../kit/older-sdks.ts';

const lack = lackOf('sdks');

type ServerClass = new (info: object, options: object) => ConnectableServer;

async function refusalOf(file: string, className: 'McpServer' | 'Server'): Promise<string> {
  const classes = (await import(pathToFileURL(file).href)) as Record<typeof className, ServerClass>;
  const server = new classes[className]({ name: 'old', version: '1.0.0' }, { capabilities: {} });
  try {
    createMcpEndpoint(server);
  } catch (error) {
    expect(error).toMatchObject({ code: 'DEFINITION_REFUSED' });
    return (error as Error).message;
  }
  return 'served';
}

const FACTORY = 'pass a factory, which creates a new server in each call: createMcpEndpoint(() => {';
const FIRST = '@modelcontextprotocol/sdk';
const SECOND = '@modelcontextprotocol/server';

const refusals: ReadonlyArray<
  readonly [name: string, file: string, className: 'McpServer' | 'Server', copy: string, range: string]
> = [
  ['sdk-1.0.1', 'server/index.js', 'Server', `${FIRST} 1.0.1`, '1.24.0 to 1.32.2 can'],
  ['sdk-1.10.2', 'server/mcp.js', 'McpServer', `${FIRST} 1.10.2`, '1.24.0 to 1.32.2 can'],
  ['sdk-1.20.2', 'server/mcp.js', 'McpServer', `${FIRST} 1.20.2`, '1.24.0 to 1.32.2 can'],
  ['sdk-1.20.2', '../cjs/server/index.js', 'Server', `${FIRST} 1.20.2`, '1.24.0 to 1.32.2 can'],
  ['server-2.0.0', 'index.mjs', 'McpServer', `${SECOND} 2.0.0`, '2.3.0 to 2.4.0 can'],
  ['server-2.0.0', 'index.cjs', 'Server', `${SECOND} 2.0.0`, '2.3.0 to 2.4.0 can'],
];

test.skipIf(lack !== '').each(refusals)(
  `the refusal of %s, %s, %s, names the version of this copy and its place${lack}`,
  async (name, file, className, copy, range) => {
    const folder = await buildOf(name);
    const refusal = await refusalOf(join(folder, file), className);
    expect(refusal).toContain(`it is ${copy} (in ${folder.replace(/\/dist.*/, '')}), and ${range}`);
    expect(refusal).toContain(FACTORY);
  },
);

test.skipIf(lack !== '')(`the refusal of a bundled copy states no version, but its file${lack}`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-bundle-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(await bundle(folder), 'index.mjs');
  const refusal = await refusalOf(file, 'McpServer');
  expect(refusal).toContain(`it is ${SECOND} of an unknown version (in ${file}), and 2.3.0 to 2.4.0 can`);
  expect(refusal).toContain(FACTORY);
});

test.skipIf(lack !== '')(`a refusal leaves the stacks of errors as they were${lack}`, async () => {
  const folder = await buildOf('server-2.0.0');
  const { prepareStackTrace, stackTraceLimit } = Error;
  await refusalOf(join(folder, 'index.mjs'), 'Server');
  expect(Error.prepareStackTrace).toBe(prepareStackTrace);
  expect(Error.stackTraceLimit).toBe(stackTraceLimit);
});
