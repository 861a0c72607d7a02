/** The page on tests, followed with the packages of the registry: vitest in the version that npm chooses. */
import { expect, test } from 'vitest';
import { type Block, blocksOf } from '../../kit/pages.ts';
import { emptyFolder, everyPath, pathTest } from './harness.ts';

const BLOCKS = blocksOf('docs/guide/develop.md', 'Test your server');
/** Up to the command that runs the first test; the others are appended to its file. */
const last = BLOCKS.findIndex(({ text }) => text.startsWith('npx vitest'));

if (everyPath) {
  for (const node of [undefined, 24] as const)
    pathTest(
      `the tests of the page pass on ${node === undefined ? 'this Node' : `Node ${node}`}`,
      async () => {
        const folder = await emptyFolder(node && { node });
        await folder.follow(BLOCKS.slice(0, last));
        expect(await folder.run(String(BLOCKS[last]?.text))).toMatch(/Tests +1 passed/);
        const first = BLOCKS.find(({ text }) => text.startsWith('// server.test.js'));
        const all = [first, ...BLOCKS.slice(last + 1)] as Block[];
        folder.write('server.test.js', all.map(({ text }) => text).join('\n'));
        expect(await folder.run(String(BLOCKS[last]?.text))).toMatch(/Tests +4 passed/);
        // As the page says for Jest.
        folder.write(
          'server.test.js',
          all.map(({ text }) => text.replace("'vitest'", "'@jest/globals'")).join('\n'),
        );
        const jest = 'env NODE_OPTIONS=--experimental-vm-modules npx jest';
        expect(await folder.run('npm pkg set type=module', 'npm install -D jest', jest)).toMatch(
          /Tests: +4 passed/,
        );
      },
    );
} else {
  test.skip('the page on tests (npm run first-minutes)', () => {});
}
