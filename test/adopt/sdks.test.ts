/**
 * A part of `npm run adopt -- --only sdks`: servers with an older copy of the SDK, each in a process that is killed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { lackOf } from '../../tools/installed.ts';
import { buildOf, bundle } from '../kit/older-sdks.ts';
import { type ClassName, type Sdk, type SdkCase, trySdk, type Way } from './sdk-case.ts';
import { type ClientKind, firstLine, secondLine, withTasks } from './sdk-clients.ts';
import { wrongIn } from './sdk-expected.ts';

const lack = lackOf('sdks');
const packages = resolve(import.meta.dirname, '../../node_modules/@modelcontextprotocol');
const clients: readonly ClientKind[] = [
  firstLine('v1', join(packages, 'sdk/dist/esm')),
  secondLine('v2', join(packages, 'client/dist'), 'legacy'),
  secondLine('v2 auto', join(packages, 'client/dist'), 'auto'),
  secondLine('v2 pinned', join(packages, 'client/dist'), { pin: '2026-07-28' }),
  withTasks,
];

const cases: ReadonlyArray<readonly [way: Way, copy: string, className: ClassName]> = [
  ['factory', 'server-2.0.0', 'McpServer'],
  ['factory', 'server-2.0.0', 'Server'],
  ['object', 'server-2.0.0', 'McpServer'],
  ['factory', 'bundled 2.0.0', 'McpServer'],
  ['factory', 'sdk-1.20.2', 'McpServer'],
  ['factory', 'sdk-1.10.2', 'McpServer'],
  ['factory', 'sdk-1.0.1', 'Server'],
];

async function sdkOf(copy: string): Promise<Sdk> {
  if (copy.startsWith('sdk-'))
    return { name: '@modelcontextprotocol/sdk', version: copy.slice(4), folder: await buildOf(copy) };
  const name = '@modelcontextprotocol/server';
  if (copy.startsWith('server-')) return { name, version: copy.slice(7), folder: await buildOf(copy) };
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-bundled-sdk-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return { name, version: undefined, folder: await bundle(folder) };
}

test.skipIf(lack !== '').each(cases)(
  `a server as %s, with %s, %s, serves the clients of every era, and again after its process was killed${lack}`,
  async (way, copy, className) => {
    const one: SdkCase = { sdk: await sdkOf(copy), className, way };
    expect(wrongIn(one, await trySdk(one, clients), clients)).toEqual([]);
  },
);
