/** The programs of the page on calls that run once, in a folder that has nothing else, with the output that it shows. */
import { expect, test } from 'vitest';
import { startNode } from '../../kit/child-process.ts';
import { freePort } from '../../kit/free-port.ts';
import { blocksOf, commandsOf, nameOf } from '../../kit/pages.ts';
import { projectFolder } from '../../kit/project-folder.ts';

/** Each run makes others. */
const withoutIds = (text: string): string => text.replace(/(instance|sessionId): '[^']*'/g, '$1');

test('the second call of the page charges nothing', async () => {
  const port = `${await freePort()}`;
  const here = (text: string): string => text.replaceAll('3000', port);
  const blocks = blocksOf('docs/guide/run-it-once.md', 'Run it once');
  const files = blocks
    .filter(({ language }) => language === 'js')
    .map((block) => [nameOf(block), here(block.text)]);
  const folder = projectFolder(Object.fromEntries(files) as Record<string, string>);
  const shown = blocks.filter(({ language }) => language === 'console').flatMap(commandsOf);
  const [server, client] = shown.map(({ command, prints }) => ({
    args: command.split(' ').slice(1),
    prints: `${here(String(prints))}\n`,
  }));
  const serving = startNode(server?.args ?? [], { cwd: folder });
  await serving.says(/http:/);
  const called = startNode(client?.args ?? [], { cwd: folder });
  await called.closed;
  expect(called.output).toEqual({ stdout: client?.prints, stderr: '' });
  const lines = server?.prints.trimEnd().split('\n') ?? [];
  const shownOn = (isLog: boolean): string[] =>
    lines.filter((line) => line.startsWith('sojourn: ') === isLog);
  const { stdout, stderr } = serving.output;
  expect(stdout).toBe(`${shownOn(false).join('\n')}\n`);
  expect(withoutIds(stderr).trimEnd().split('\n')).toEqual(shownOn(true).map(withoutIds));
});
