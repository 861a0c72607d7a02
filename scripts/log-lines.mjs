/**
 * Every log call of `src/`. `node scripts/log-lines.mjs` prints what `docs/reference/log-messages.md` lacks, and what it
 * has of lines that are gone; `--all` prints every line. `test/docs/log-messages.test.ts` holds the page.
 *
 * A call is `<something>.<level>(fields, text)` whose something ends with `logger`, or a call of `HELPERS`. Its texts
 * and the names of its fields are read from the source: literals, both sides of `?:`, constants and their members, and
 * what named functions return. Any other part of a text is `…`. A call whose text cannot be read is an error.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'oxc-parser';

const root = resolve(import.meta.dirname, '..');
export const PAGE = 'docs/reference/log-messages.md';
const LEVELS = ['debug', 'info', 'warn', 'error', 'fatal'];
const LOGGER = /(?:^|[.#?])(?:\w*logger|requests\??|target)$/i;

/** These pass on lines, or write what `HELPERS` names. */
const PASSING = [
  'src/endpoint/outage.ts target.debug',
  'src/endpoint/outage.ts target[level]',
  'src/options/log-limit.ts target[level]',
  'src/cli/supervisor.ts this.#options.logger[level]',
  'src/eras/modern/call-records.ts this.#options.logger.error',
  'src/http/answer.ts logger[levelOf(error)]',
  'src/observe/log-lines.ts this.#logger.warn',
  "src/cli/serve.ts logger[INSTANCE_LINES.has(text) ? 'debug' : 'info']",
  'src/options/logger.ts consoleLogger[level]',
  'src/options/logger.ts logger[level]',
];

/** Functions that write a line. A number is the argument that has the value. */
const HELPERS = [
  { of: 'src/cli/supervisor.ts', call: 'this.#log', levels: 0, text: 2, fields: 3, more: ['worker', 'worker_pid'] },
  { of: 'src/observe/log-lines.ts', call: 'dropped.write', levels: ['warn'], text: 2, fields: 1 },
  { of: 'src/observe/log-lines.ts', call: 'changed.write', levels: ['warn'], text: 2, fields: 1 },
  { of: 'src/eras/modern/call-records.ts', call: 'this.#write', levels: ['error'], text: 1, more: ['err', 'call'] },
  { call: 'answerable', levels: ['warn', 'error'], text: 2, rest: ': …', more: ['err'] },
  { of: 'src/eras/legacy/router.ts', call: 'this.#refusals.warn', levels: ['warn'], text: 1, fields: 0 },
];

/** Texts that come from elsewhere, by the argument: the name of the function that makes them. */
const MAKERS = {
  'src/cli/listen-problem.ts warning': ['src/cli/settings.ts', 'unknownVariableWarnings'],
  'src/endpoint/endpoint.ts warning': ['src/definition/definition.ts', 'warningOf'],
  'src/stores/sqlite/file-identity.ts error.message': ['src/stores/sqlite/failures.ts', 'fileGone'],
};

const files = new Map();

function parsed(file) {
  let found = files.get(file);
  if (found === undefined) {
    const source = readFileSync(join(root, file), 'utf8');
    const { program, errors } = parseSync(file, source);
    if (errors.length > 0) throw new Error(`${file}: ${errors[0].message}`);
    files.set(file, (found = { file, source, program, names: namesOf(program, file) }));
  }
  return found;
}

function* nodes(node) {
  if (node === null || typeof node !== 'object') return;
  if (Array.isArray(node)) {
    for (const each of node) yield* nodes(each);
    return;
  }
  if (typeof node.type === 'string') yield node;
  for (const [key, value] of Object.entries(node)) if (key !== 'type') yield* nodes(value);
}

/** What each constant and function of a file is; of an import, where it is. */
function namesOf(program, file) {
  const names = new Map();
  const add = (name, value) => names.set(name, [...(names.get(name) ?? []), value]);
  for (const node of nodes(program)) {
    if (node.type === 'VariableDeclarator' && node.id.type === 'Identifier' && node.init) add(node.id.name, node.init);
    if (node.type === 'FunctionDeclaration' && node.id && node.body) add(node.id.name, node);
    if (node.type === 'MethodDefinition' && node.value.body) add(`this.${memberName(node.key)}`, node.value);
    if (node.type === 'ImportDeclaration' && node.source.value.startsWith('.')) {
      const from = join(dirname(file), node.source.value);
      for (const { local, imported } of node.specifiers) if (imported) add(local.name, { from, name: imported.name });
    }
    if (node.type === 'ExportNamedDeclaration' && node.source?.value.startsWith('.'))
      for (const { local, exported } of node.specifiers)
        add(exported.name, { from: join(dirname(file), node.source.value), name: local.name });
  }
  return names;
}

const memberName = (key) => (key.type === 'PrivateIdentifier' ? `#${key.name}` : key.name);

/** The values that a name may have, each with the file that it stands in. */
function valuesOf(name, at) {
  return (at.names.get(name) ?? []).flatMap((value) =>
    value.from === undefined ? [{ node: value, at }] : valuesOf(value.name, parsed(value.from)),
  );
}

const UNWRAPPED = new Set([
  'TSAsExpression',
  'ParenthesizedExpression',
  'TSNonNullExpression',
  'TSSatisfiesExpression',
]);
const bare = (node) => (UNWRAPPED.has(node.type) ? bare(node.expression) : node);

const MOST = 12;
const joined = (lists) => lists.reduce((all, list) => all.flatMap((begin) => list.map((end) => begin + end)), ['']);
const part = (node, at, depth) => {
  const found = textsOf(node, at, depth);
  if (found === undefined || found.length > MOST) return ['…'];
  return found.length > 1 && found.some((text) => text.includes('…')) ? ['…'] : found;
};

/** Every text that an expression may be; `undefined`: it cannot be read. */
function textsOf(given, at, depth = 6) {
  const node = bare(given);
  if (depth === 0) return undefined;
  const all = (several) => {
    const lists = several.map((one) => textsOf(one.node ?? one, one.at ?? at, depth - 1));
    return lists.length === 0 || lists.includes(undefined) ? undefined : [...new Set(lists.flat())];
  };
  switch (node.type) {
    case 'Literal':
      return typeof node.value === 'string' ? [node.value] : undefined;
    case 'TemplateLiteral': {
      const parts = node.quasis.flatMap(({ value }, n) => {
        const expression = node.expressions[n];
        return expression === undefined ? [[value.cooked]] : [[value.cooked], part(expression, at, depth - 1)];
      });
      return joined(parts);
    }
    case 'BinaryExpression':
      return node.operator === '+' ? joined([part(node.left, at, depth), part(node.right, at, depth)]) : undefined;
    case 'ConditionalExpression':
      return all([node.consequent, node.alternate]);
    case 'Identifier': {
      const values = valuesOf(node.name, at);
      return values.some((value) => /Function/.test(value.node.type)) ? undefined : all(values);
    }
    case 'MemberExpression': {
      const values = node.object.type === 'Identifier' ? valuesOf(node.object.name, at) : [];
      const members = values.flatMap((value) => {
        const object = bare(value.node);
        if (object.type !== 'ObjectExpression') return [];
        const wanted = node.computed ? undefined : node.property.name;
        return object.properties
          .filter(({ key }) => wanted === undefined || (key.name ?? key.value) === wanted)
          .map((property) => ({ node: property.value, at: value.at }));
      });
      return all(members);
    }
    case 'CallExpression':
      return all(returnsOf(node, at));
    default:
      return undefined;
  }
}

/** What the function of a call returns. */
function returnsOf({ callee }, at) {
  const name = callee.type === 'Identifier' ? callee.name : at.source.slice(callee.start, callee.end);
  return valuesOf(name, at).flatMap(({ node, at: there }) => returned(node).map((each) => ({ node: each, at: there })));
}

function returned(of) {
  if (!/Function/.test(of.type)) return [];
  if (of.body.type !== 'BlockStatement') return [of.body];
  return [...nodes(of.body)]
    .filter(({ type, argument }) => type === 'ReturnStatement' && argument)
    .map((r) => r.argument);
}

/** The names of the fields. */
function fieldsOf(given, at, depth = 6) {
  const node = given && bare(given);
  if (!node || depth === 0) return [];
  const of = (several) => several.flatMap((one) => fieldsOf(one.node ?? one, one.at ?? at, depth - 1));
  switch (node.type) {
    case 'ObjectExpression':
      return node.properties.flatMap((property) => {
        if (property.type === 'SpreadElement') return fieldsOf(property.argument, at, depth - 1);
        return property.computed ? (textsOf(property.key, at) ?? []) : [property.key.name ?? property.key.value];
      });
    case 'LogicalExpression':
      return of([node.right]);
    case 'ConditionalExpression':
      return of([node.consequent, node.alternate]);
    case 'Identifier':
      return of(valuesOf(node.name, at));
    case 'CallExpression':
      return of(returnsOf(node, at));
    default:
      return [];
  }
}

function* callsOf(at) {
  const text = (node) => at.source.slice(node.start, node.end);
  for (const node of nodes(at.program)) {
    if (node.type !== 'CallExpression') continue;
    const callee = node.callee.type === 'ChainExpression' ? node.callee.expression : node.callee;
    const name = text(callee);
    const helper = HELPERS.find(({ of, call }) => call === name && (of === undefined || of === at.file));
    if (helper !== undefined) {
      const { levels, text: n, rest = '', fields, more = [] } = helper;
      yield {
        levels: Array.isArray(levels) ? levels : textsOf(node.arguments[levels], at),
        texts: textsOf(node.arguments[n], at)?.map((each) => each + rest),
        fields: [...more, ...fieldsOf(node.arguments[fields], at)],
        name,
        node,
      };
      continue;
    }
    if (callee.type !== 'MemberExpression' || !LOGGER.test(text(callee.object))) continue;
    const levels = callee.computed ? textsOf(callee.property, at) : [callee.property.name];
    if (PASSING.includes(`${at.file} ${name}`)) continue;
    if (!(levels ?? LEVELS).every((level) => LEVELS.includes(level))) continue;
    const [fields, message] = node.arguments;
    const [file, maker] = MAKERS[`${at.file} ${message && text(message)}`] ?? [];
    const texts = maker === undefined ? message && textsOf(message, at) : sentencesOf(parsed(file), maker);
    yield { levels, texts, fields: fieldsOf(fields, at), name, node };
  }
}

/** Every text with a space that a function has. */
const sentencesOf = (at, name) => (at.names.get(name) ?? []).flatMap((node) => sentencesIn(node, at));

function sentencesIn(node, at) {
  if (node === null || typeof node !== 'object') return [];
  const isText = /^(?:Literal|TemplateLiteral|BinaryExpression)$/.test(node.type);
  const texts = (isText && textsOf(node, at)?.filter((text) => text.includes(' '))) || [];
  return texts.length > 0 ? texts : Object.values(node).flatMap((child) => sentencesIn(child, at));
}

/** `[{ text, levels, fields }]`, each text once. */
export function logLines() {
  const lines = new Map();
  const unread = [];
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.startsWith('testing'))
    .map((file) => join('src', file));
  for (const file of sources.toSorted()) {
    const at = parsed(file);
    for (const { levels, texts, fields, name, node } of callsOf(at)) {
      if (levels === undefined || texts === undefined || texts.length === 0) {
        unread.push(`${file}:${at.source.slice(0, node.start).split('\n').length} ${name}`);
        continue;
      }
      for (const text of texts) {
        const line = lines.get(text) ?? { text, levels: new Set(), fields: new Set(), files: new Set() };
        lines.set(text, line);
        levels.forEach((level) => line.levels.add(level));
        fields.forEach((field) => line.fields.add(field));
        line.files.add(file);
      }
    }
  }
  if (unread.length > 0) throw new Error(`scripts/log-lines.mjs cannot read the text of ${unread.join(', ')}`);
  return [...lines.values()].map(({ text, levels, fields, files: of }) => ({
    text,
    levels: LEVELS.filter((level) => levels.has(level)),
    fields: [...fields].toSorted(),
    files: [...of],
  }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { levels, text, fields, files: of } of logLines())
    console.log(`${levels.join(',')} | ${text} | ${fields.join(' ')} | ${of.join(' ')}`);
}
