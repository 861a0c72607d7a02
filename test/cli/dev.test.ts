// @module-tag matrix
/** `sojourn dev`: what an author's edits do to connected clients. In TypeScript: `test/pages/first-minutes/develop.test.ts`. */
import { renameSync, rmSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  connectNegotiating,
  connectV1,
  connectV2,
  type OfficialClient,
} from '../clients/official.ts';
import { keepCalling } from '../kit/calling.ts';
import { openClient } from '../kit/listening.ts';
import { until } from '../kit/until.ts';
import { runProcess } from './cli-process.ts';
import { hasEnded, moduleText, Project } from './dev-project.ts';

const MS = 180_000;
const CHANGED = 'notifications/tools/list_changed';
const BROKEN = 'not loaded: the last good build keeps serving until the next edit';
/** Each after a broken one. `npm run first-minutes` makes fifty in all. */
const EDITS = process.env['SOJOURN_FIRST_MINUTES'] === 'all' ? 25 : 6;

/** Each way to break a module, and what the log says about it. */
const BREAKS: readonly [name: string, text: string, says: RegExp][] = [
  [
    'does not parse',
    `${moduleText({ build: 'x' })}\nconst broken = (;`,
    /cannot load mcp\.mjs:\n\S+mcp\.mjs:\d+\n/,
  ],
  [
    'throws while it loads',
    moduleText({ build: 'x', first: "throw new Error('no key');" }),
    /cannot load mcp\.mjs:\n\S+mcp\.mjs:4\nthrow [^]*\nError: no key\n {4}at \S+mcp\.mjs:4:7\n/,
  ],
  [
    'exports no server',
    moduleText({ build: 'x', exported: 'export const made = server;' }),
    /it exports made/,
  ],
  [
    'imports what is not there',
    moduleText({ build: 'x', first: "import './nothing.mjs';" }),
    /nothing\.mjs/,
  ],
  [
    'has wrong options',
    moduleText({ build: 'x', exported: 'export default { server, options: { idle: 1 } };' }),
    /idle/,
  ],
  ['ends the process', moduleText({ build: 'x', first: 'process.exit(7);' }), /end="exit code 7"/],
];

describe.skipIf(process.platform === 'win32')(
  'sojourn dev (a Unix system)',
  { timeout: MS },
  () => {
    test(
      'an edit shows in the next call of each connected client; no call fails and state is kept',
      { timeout: 2 * MS },
      async () => {
        const project = new Project();
        project.write('mcp.mjs', moduleText({ build: 0 }));
        const dev = project.dev('mcp.mjs', { args: ['--', '/data'] });
        const url = await dev.url();
        const connectAll = () =>
          Promise.all([connectV2, connectNegotiating, connectV1].map((connect) => connect(url)));
        const clients = await connectAll();
        const [v2, , v1] = clients as [OfficialClient, OfficialClient, OfficialClient];
        // Others call all the time. A session whose call still runs would stay with the build before.
        const others = await connectAll();
        const calling = keepCalling(async (n) => others[n % others.length]?.say('build'));
        for (let n = 1; n <= EDITS; n++) {
          const [, text = '', says = /./] = BREAKS[n % BREAKS.length] ?? [];
          expect(await dev.edits(() => project.write('mcp.mjs', text), BROKEN)).toMatch(says);
          expect(await v2.say('build')).toMatch(new RegExp(`^${n - 1} `));
          const told = v2.notifications(CHANGED).length;
          expect(
            await dev.edits(() => project.write('mcp.mjs', moduleText({ build: n }))),
          ).toContain(' mcp.mjs changed\n');
          for (const { say } of clients)
            expect(await say('build')).toMatch(new RegExp(`^${n}( |$)`));
          expect((await v2.client.listTools()).tools.map(({ name }) => name)).toContain(
            `tool-${n}`,
          );
          await until(() => v2.notifications(CHANGED).length > told, {
            timeoutMs: MS,
            what: 'list_changed',
          });
        }
        await calling.stop();
        expect(calling.failures).toEqual([]);
        expect(await v1.say(`tool-${EDITS}`)).toBe('/data');
        // Two calls for each edit, and this one.
        expect(await v2.say('build')).toBe(`${EDITS} ${2 * EDITS + 1}`);
        expect(calling.answered()).toBeGreaterThan(EDITS);
        dev.kill('SIGINT');
        expect(await dev.ended()).toMatchObject({ code: 0 });
        expect(dev.pids().every(hasEnded)).toBe(true);
      },
    );

    test.each([
      [
        'an await that never settles',
        'setInterval(() => {}, 1000); console.log("endless"); await new Promise(() => {});',
      ],
      ['a loop', 'console.log("endless"); for (;;);'],
    ])(
      'a module that loads for ever, by %s, is given up at the next edit',
      async (_name, first) => {
        const project = new Project();
        project.write('mcp.mjs', moduleText({ build: 'good' }));
        const dev = project.dev('mcp.mjs');
        const client = await connectV2(await dev.url());
        project.write(
          'mcp.mjs',
          moduleText({ build: 'endless', first: `console.log('pid', process.pid);\n${first}` }),
        );
        await until(() => dev.output.stdout.includes('endless'), {
          timeoutMs: MS,
          what: 'the endless build to load',
        });
        expect(await client.say('build')).toBe('good 1');
        await dev.edits(() => project.write('mcp.mjs', moduleText({ build: 'mended' })));
        expect(await client.say('build')).toBe('mended 2');
        await until(() => dev.pids().slice(0, 2).every(hasEnded), {
          what: 'both earlier builds to end',
        });
      },
    );

    test('a module that is broken at the start is served once it is mended', async () => {
      const project = new Project();
      project.write('mcp.mjs', 'export default (;');
      const dev = project.dev('mcp.mjs');
      await until(() => dev.log().includes('nothing is served until the next edit'), {
        timeoutMs: MS,
        what: 'the error',
      });
      project.write('mcp.mjs', moduleText({ build: 'mended' }));
      expect(await (await connectV2(await dev.url())).say('build')).toBe('mended 1');
    });

    test('a folder for its sessions that cannot be made is said by the store, without a stack', async () => {
      const project = new Project();
      project.write('mcp.mjs', moduleText({ build: 1 }));
      project.write('.sojourn', 'a file');
      const dev = project.dev('mcp.mjs');
      await until(() => dev.log().includes('nothing is served until the next edit'), {
        timeoutMs: MS,
        what: 'the error',
      });
      expect(dev.log()).toMatch(
        /^sojourn: sqlite:\S+\.sojourn\/mcp\.mjs\.db: .*\n.*not loaded: nothing is served/,
      );
    });

    test('a call that runs during an edit ends in its build, and later edits do not wait for it', async () => {
      const project = new Project();
      project.write('mcp.mjs', moduleText({ build: 1 }));
      const dev = project.dev('mcp.mjs');
      const url = await dev.url();
      const [waiting, other] = await Promise.all([connectV2(url), connectV2(url)]);
      const waited = waiting.say('wait');
      await until(() => dev.output.stdout.includes('1 waits'), {
        timeoutMs: MS,
        what: 'the call to run',
      });
      const log = await dev.edits(() => project.write('mcp.mjs', moduleText({ build: 2 })));
      expect(log).toContain(
        'a session whose call still runs stays with the build before until that call ends',
      );
      await dev.edits(() => project.write('mcp.mjs', moduleText({ build: 3 })));
      expect(await other.say('build')).toBe('3 1');
      process.kill(Number(dev.pids()[0]), 'SIGUSR2');
      expect(await waited).toBe('1 waited');
      await until(() => hasEnded(Number(dev.pids()[0])), {
        timeoutMs: MS,
        what: 'the first build to end',
      });
      expect(await waiting.say('build')).toBe('3 1');
    });

    test('Ctrl+C ends every process, also those of a call, of an earlier build with a call and of a build that loads', async () => {
      const project = new Project();
      project.write('mcp.mjs', moduleText({ build: 1 }));
      const dev = project.dev('mcp.mjs');
      const url = await dev.url();
      const waits = async (build: number): Promise<void> => {
        const client = openClient(url, { timeoutMs: MS });
        await client.initialize();
        void client.call('tools/call', { name: 'wait', arguments: {} }).catch(() => {});
        await until(() => dev.output.stdout.includes(`${build} waits`), {
          timeoutMs: MS,
          what: `a call in build ${build}`,
        });
      };
      await waits(1);
      await dev.edits(() => project.write('mcp.mjs', moduleText({ build: 2 })));
      await waits(2);
      project.write(
        'mcp.mjs',
        moduleText({ build: 3, first: 'console.log("pid", process.pid); for (;;);' }),
      );
      await until(() => dev.pids().length === 3, {
        timeoutMs: MS,
        what: 'the third build to load',
      });
      dev.kill('SIGINT');
      expect(await dev.ended()).toMatchObject({ code: 0 });
      expect(dev.pids().map(hasEnded)).toEqual([true, true, true]);
    });

    test('a server that crashes starts again; if its files are broken by then, at the next edit', async () => {
      const project = new Project();
      project.write('mcp.mjs', moduleText({ build: 1 }));
      const dev = project.dev('mcp.mjs');
      const client = await connectV2(await dev.url());
      expect(await client.say('build')).toBe('1 1');
      const exit = (): void => void client.say('exit').catch(() => {});
      await dev.edits(
        exit,
        'the server crashed; it starts again, and sessions continue  end="exit code 3"',
      );
      expect(await client.say('build')).toBe('1 2');
      await dev.edits(() => project.write('mcp.mjs', 'export default (;'), BROKEN);
      await dev.edits(exit, 'nothing is served until the next edit');
      // The port stays open, so the call waits.
      const waits = client.say('build');
      await dev.edits(() => project.write('mcp.mjs', moduleText({ build: 2 })));
      expect(await waits).toBe('2 3');
    });

    test('a command line that is wrong ends the command', async () => {
      const project = new Project();
      project.write('mcp.mjs', moduleText({ build: 1 }));
      const args = ['dev', 'mcp.mjs', '--port', '0', '--store', 'sqlite:'];
      const { code, stderr } = await runProcess(args, { cwd: project.path });
      expect([code, stderr]).toEqual([2, expect.stringContaining('sqlite: needs a file')]);
    });
  },
);

describe.skipIf(process.platform === 'win32')(
  'the files that sojourn dev watches',
  { timeout: MS },
  () => {
    test('are the code of its folder, written in any way, and no others', async () => {
      const project = new Project();
      const parts = ['lib/part.mjs', 'app/part.cjs'];
      for (const name of parts) project.write(`app/${name}`, 'old');
      const read = (name: string): string =>
        `readFileSync(${JSON.stringify(project.file(`app/${name}`))}, 'utf8')`;
      project.write(
        'app/mcp.mjs',
        moduleText({
          build: "' + parts + '",
          first: `import { readFileSync } from 'node:fs';\nconst parts = [${parts.map(read).join()}].join();`,
        }),
      );
      for (const name of ['node_modules/installed/index.mjs', 'moved/deep/x.mjs'])
        project.write(`app/${name}`, '');
      const dev = project.dev('mcp.mjs', { cwd: 'app' });
      const client = await connectV2(await dev.url());
      const served = async () => (await client.say('build')).split(' ')[0];
      for (const name of parts) {
        expect(await dev.edits(() => project.write(`app/${name}`, 'new'))).toContain(
          `${name} changed\n`,
        );
        expect(await served()).toContain('new');
      }
      expect(await served()).toBe('new,new');
      await dev.edits(() => {
        project.write('app/lib/part.mjs~', 'renamed');
        renameSync(project.file('app/lib/part.mjs~'), project.file('app/lib/part.mjs'));
      });
      expect(await served()).toBe('renamed,new');
      renameSync(project.file('app/moved'), project.file('moved'));
      await dev.edits(() => rmSync(project.file('app/lib'), { recursive: true }), BROKEN);
      expect(await served()).toBe('renamed,new');
      await dev.edits(() => {
        for (let n = 0; n < 300; n++)
          for (const name of parts) project.write(`app/${name}`, `burst-${n}`);
      });
      await until(async () => (await served()) === 'burst-299,burst-299', {
        timeoutMs: 60_000,
        what: 'the last save',
      });
      expect(await dev.edits(() => project.write('app/.env', 'A=1'))).toContain('.env changed\n');
      const log = await dev.edits(() => {
        const names = [
          'node_modules/installed/index.mjs',
          'data.json',
          'mine.db',
          '.sojourn/other',
          '.git/HEAD',
        ];
        for (const name of [...names, '../beside.mjs', '../moved/deep/x.mjs'])
          project.write(`app/${name}`, ' ');
        project.write('app/mcp.mjs', moduleText({ build: 'last' }));
      });
      expect(log.match(/(?:\S+, )*\S+ changed$/gm)).toEqual(['mcp.mjs changed']);
    });
  },
);
