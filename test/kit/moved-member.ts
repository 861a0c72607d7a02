/** Copies of the installed SDK in which a private member has another name, as in a future version. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

const modules = resolve(import.meta.dirname, '../../node_modules');

/** Copies the ES modules of `package` below `node_modules/@modelcontextprotocol`, and returns their folder. */
export function copyWithout(name: 'sdk' | 'server', member: string): string {
  const named = new RegExp(`(?<![\\w$])${member}(?![\\w$])`, 'g');
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
    const changed = text.replaceAll(named, `${member}Moved`);
    if (changed === text) continue;
    changes += 1;
    writeFileSync(file, changed);
  }
  if (changes === 0) throw new Error(`nothing to change in ${original}`);
  return join(folder, build);
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
