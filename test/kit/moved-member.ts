/** Copies of the installed SDK in which a private member has another name, as in a future version. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { McpServer as McpServerType } from '@modelcontextprotocol/server';
import { afterAll, type onTestFinished } from 'vitest';

const modules = resolve(import.meta.dirname, '../../node_modules');

/** Copies the ES modules of `package` below `node_modules/@modelcontextprotocol`, and returns their folder. */
export function copyWithout(name: 'sdk' | 'server', member: string): string {
  return changedCopy(name, (text) =>
    text.replaceAll(new RegExp(`(?<![\\w$])${member}(?![\\w$])`, 'g'), `${member}Moved`),
  );
}

const SERVER = /(?:export class Server|var Server = class) extends Protocol \{[^]*?\n\};?\n/;
/** The class without what makes it `Server`, and its start and end. */
const PARTS = /^(export class Server|var Server = class) extends Protocol( \{[^]*\n\};?\n)$/;

/** What a version may do to the class `Server` and its methods. The names go into the titles of tests. */
export const SHAPES = {
  'has another class below its Server': (server) =>
    server.replace('extends Protocol', 'extends (class extends Protocol {})'),
  'has another class above its Server': (server) =>
    server.replace(PARTS, (_, start: string, body: string) =>
      [
        `${start.replace('export ', '').replace('Server', 'Below')} extends Protocol${body}`,
        `${start} extends Below {};\n`,
      ].join(''),
    ),
  'has no class below its Server': (server) =>
    [
      server.replaceAll(/super\.(\w+)\(/g, 'Protocol.prototype.$1.call(this, '),
      'const own = [Protocol, Server].map(({ prototype }) => Object.getOwnPropertyDescriptors(prototype));\n',
      'Object.defineProperties(Server.prototype, Object.assign({}, ...own));\n',
      'Object.setPrototypeOf(Server.prototype, Object.prototype);\n',
    ].join(''),
  'binds a method in its constructor': (server) =>
    server.replace('super(options);', 'super(options);\nthis.notification = this.notification.bind(this);'),
} as const satisfies Record<string, (server: string) => string>;

/** A copy in which the class `Server` has another shape. */
export function copyShaped(name: 'sdk' | 'server', shape: keyof typeof SHAPES): string {
  return changedCopy(name, (text) => text.replace(SERVER, SHAPES[shape]));
}

function changedCopy(name: 'sdk' | 'server', change: (text: string) => string): string {
  const copies = mkdtempSync(join(tmpdir(), 'sojourn-moved-member-'));
  const original = join(modules, '@modelcontextprotocol', name);
  const folder = join(copies, 'node_modules/@modelcontextprotocol', name);
  const build = name === 'sdk' ? 'dist/esm' : 'dist';
  const isCode = (path: string): boolean => !/\.(?:map|cjs|[cm]?ts)$/.test(path);
  mkdirSync(dirname(join(folder, build)), { recursive: true });
  cpSync(join(original, build), join(folder, build), { recursive: true, filter: isCode });
  cpSync(join(original, 'package.json'), join(folder, 'package.json'));
  // Its dependencies.
  for (const entry of readdirSync(modules))
    if (entry !== '@modelcontextprotocol') symlinkSync(join(modules, entry), join(copies, 'node_modules', entry));
  symlinkSync(join(modules, '@modelcontextprotocol/core'), join(dirname(folder), 'core'));
  let changes = 0;
  for (const entry of readdirSync(join(folder, build), { recursive: true, encoding: 'utf8' })) {
    if (!/\.m?js$/.test(entry)) continue;
    const file = join(folder, build, entry);
    const text = readFileSync(file, 'utf8');
    const changed = change(text);
    if (changed === text) continue;
    changes += 1;
    writeFileSync(file, changed);
  }
  if (changes === 0) throw new Error(`nothing to change in ${original}`);
  return join(folder, build);
}

/** The `McpServer` of a copy, which is deleted after the tests of the file, or after one of them. */
export async function movedServer(name: 'sdk' | 'server', build: string, after: typeof onTestFinished = afterAll) {
  after(() => rmSync(build.replace(/node_modules.*/, ''), { recursive: true, force: true }));
  const file = join(build, name === 'sdk' ? 'server/mcp.js' : 'index.mjs');
  const { McpServer } = (await import(pathToFileURL(file).href)) as { McpServer: typeof McpServerType };
  return McpServer;
}

/** `of` without `member`, for code that is not its own. Methods run on `of`. */
export function without<T extends object>(of: T, member: string): T {
  return new Proxy(of, {
    has: (_, name) => name !== member && name in of,
    get: (_, name) => {
      if (name === member) return undefined;
      const value: unknown = Reflect.get(of, name, of);
      return typeof value === 'function' && name !== 'constructor' ? (value.bind(of) as unknown) : value;
    },
    set: (_, name, value) => Reflect.set(of, name, value, of),
  });
}
