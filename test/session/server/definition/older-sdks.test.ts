// @module-tag matrix
/**
 * The short way into a server of each version of the SDK that is supported does what `onmessage` does.
 * `test/adopt/sdks.test.ts` serves clients by each, as a factory and as one object.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { lackOf } from '../../../installs/installed.ts';
import { buildOf, bundle, SDKS } from '../../../kit/older-sdks.ts';
import { type ServerClass, shortWayOf } from '../../../kit/short-way.ts';
import { temporaryFolder } from '../../../kit/temporary.ts';

const lack = lackOf('sdks');

const copies: ReadonlyArray<readonly [name: string, file: string]> = [
  ...SDKS.map((name) => [name, name.startsWith('sdk-') ? 'server/index.js' : 'index.mjs'] as const),
  ['sdk-1.20.2', '../cjs/server/index.js'],
  ['server-2.0.0', 'index.cjs'],
  ['bundled 2.0.0', 'index.mjs'],
];

const folderOf = async (name: string): Promise<string> =>
  name.startsWith('bundled') ? bundle(temporaryFolder()) : buildOf(name);

test.skipIf(lack !== '').each(copies)(
  `the short way into a server of %s, %s, is that of onmessage${lack}`,
  { timeout: 120_000 },
  async (name, file) => {
    const { href } = pathToFileURL(join(await folderOf(name), file));
    const { Server } = (await import(href)) as { Server: ServerClass };
    expect(await shortWayOf(Server)).toEqual({
      connected: true,
      passed: true,
      changed: [],
      sent: 0,
    });
  },
);
