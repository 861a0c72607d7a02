/** Why a module cannot be loaded, as `serve` says it: the file and line of a mistake in its syntax, and what to set. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { SojournError } from '../errors.ts';
import { orUndefined } from '../base/or-undefined.ts';
import { codeOf, moduleInvalid, reason } from './failure.ts';

/** Node parses the files of a module in less. */
const PARSE_MS = 10_000;
/** Node shows up to two lines of code. */
const EXCERPT_LINES = 6;

/** A mistake in a file, as Node or esbuild reports it. */
interface Mistake {
  readonly text: string;
  readonly file: string;
  readonly line: number;
  /** The line, and below it the place. */
  readonly excerpt: string;
}

/** `given` names the module as the command does, `file` is its path. */
export async function loadFailure(given: string, file: string, error: unknown): Promise<SojournError> {
  const mistake = transformMistake(error) ?? (await syntaxMistake(file, error));
  if (mistake === undefined) return moduleInvalid(`cannot load ${given}: ${reason(error)}${syntaxHint(error)}`, error);
  if (isModuleInCommonJs(mistake)) return moduleInvalid(`cannot load ${given}: ${commonJsText(mistake.file)}`);
  const { text, line, excerpt } = mistake;
  return moduleInvalid(`cannot load ${given}: ${text}, in ${mistake.file}:${line}\n\n${excerpt}`);
}

function syntaxHint(error: unknown): string {
  return codeOf(error) === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX'
    ? ' (Node only strips types; compile the module, or use syntax that needs no compiler)'
    : '';
}

/** The error of esbuild, which tsx uses. Its second line is `<file>:<line>:<column>: ERROR: <text>`. */
function transformMistake(error: unknown): Mistake | undefined {
  const [, said = ''] = reason(error).split('\n', 2);
  const [place = '', text] = said.split(': ERROR: ', 2);
  const [column, line, ...path] = place.split(':').reverse();
  const file = path.reverse().join(':');
  if (text === undefined || !existsSync(file)) return undefined;
  const code = readFileSync(file, 'utf8').split('\n')[Number(line) - 1] ?? '';
  return { text, file, line: Number(line), excerpt: `${code}\n${' '.repeat(Number(column))}^` };
}

async function syntaxMistake(file: string, error: unknown): Promise<Mistake | undefined> {
  if (!(error instanceof SyntaxError)) return undefined;
  // Errors of CommonJS begin with the place, those of ES modules do not say it.
  return mistakeIn(error.stack ?? '', error) ?? mistakeIn(await printedByNode(file), error);
}

/** Reads `<file>:<line>`, some lines of code, and the marks below them. */
function mistakeIn(printed: string, error: SyntaxError): Mistake | undefined {
  const [place = '', ...below] = printed.split('\n', EXCERPT_LINES);
  const marks = below.findIndex((text) => text.trim().startsWith('^'));
  const colon = place.lastIndexOf(':');
  const line = Number(place.slice(colon + 1));
  if (marks < 1 || !(line > 0) || place.startsWith('node:')) return undefined;
  const path = place.slice(0, colon);
  const file = path.startsWith('file:') ? fileURLToPath(path) : path;
  return { text: error.message + syntaxHint(error), file, line, excerpt: below.slice(0, marks + 1).join('\n') };
}

/**
 * What Node prints when nothing catches the error: only there it says the place. Node parses every file before it runs
 * the first one, which ends the process. So no code of the user runs a second time.
 */
function printedByNode(file: string): Promise<string> {
  const program = `import 'data:text/javascript,process.exit()'; import ${JSON.stringify(pathToFileURL(file).href)};`;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['--input-type=module', '--eval', program],
      { timeout: PARSE_MS },
      (_error, _out, printed) => resolve(printed),
    );
  });
}

/** What Node 20 to 26 and esbuild say about an ES module that is loaded as CommonJS. */
const MODULE_SYNTAX = [
  'Cannot use import statement outside a module',
  "Unexpected token 'export'",
  "Cannot use 'import.meta' outside a module",
  'await is only valid in async functions',
  'with the "cjs" output format',
];

function isModuleInCommonJs({ text, file }: Mistake): boolean {
  return /^\.[jt]sx?$/.test(extname(file)) && MODULE_SYNTAX.some((said) => text.includes(said));
}

function commonJsText(file: string): string {
  const extension = extname(file);
  const renamed = `${basename(file, extension)}.m${extension.slice(1)}`;
  const start = `${file} is an ES module (import, export), and Node loads it as CommonJS`;
  const described = describingFile(dirname(file));
  if (described === undefined) return `${start}: no package.json says "type": "module". Rename it to ${renamed}`;
  const type = typeof described.type === 'string' ? `"type": "${described.type}"` : 'no "type"';
  return `${start}: ${described.path} has ${type}. Run \`npm pkg set type=module\` there, or rename it to ${renamed}`;
}

/** The package.json that says how the files of a folder are loaded. */
function describingFile(folder: string): { readonly path: string; readonly type: unknown } | undefined {
  const path = join(folder, 'package.json');
  const read = (): unknown => (JSON.parse(readFileSync(path, 'utf8')) as { readonly type?: unknown }).type;
  const found = orUndefined(() => ({ path, type: read() }));
  const above = dirname(folder);
  return found ?? (above === folder ? undefined : describingFile(above));
}
